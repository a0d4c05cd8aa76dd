type Settings = Record<string, unknown>

/** A program that can be started so that it uses the models of this server. */
export interface Integration {
  name: string
  aliases?: readonly string[]
  title: string
  /** The program, and folders below the home where its installer puts it when that is not on the PATH. */
  command: string
  folders?: readonly string[]
  /** How a person gets it, as the end of "is not installed, ...". */
  install: string
  /** What it is started with. */
  start(model: string, url: string): { args?: string[]; env?: Record<string, string> }
  /** Its settings, where it takes them from a file only: the path below the home, and what to put in. */
  settings?: { path: string; edit(settings: Settings, model: string, url: string): Settings }
}

/** Programs take some key, and what it is does not matter here. */
const anyKey = 'ollama'

export const integrations: readonly Integration[] = [
  {
    name: 'claude',
    title: 'Claude Code',
    command: 'claude',
    folders: ['.local/bin', '.claude/local'],
    install: 'install from https://code.claude.com/docs/en/quickstart',
    start: (model, url) => ({
      args: ['--model', model],
      env: {
        ANTHROPIC_BASE_URL: url,
        ANTHROPIC_API_KEY: '',
        ANTHROPIC_AUTH_TOKEN: anyKey,
        ANTHROPIC_DEFAULT_OPUS_MODEL: model,
        ANTHROPIC_DEFAULT_SONNET_MODEL: model,
        ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
        CLAUDE_CODE_SUBAGENT_MODEL: model,
        CLAUDE_CODE_ATTRIBUTION_HEADER: '0',
        DISABLE_TELEMETRY: '1',
        DISABLE_ERROR_REPORTING: '1',
      },
    }),
  },
  {
    name: 'codex',
    title: 'Codex',
    command: 'codex',
    install: 'install with: npm install -g @openai/codex',
    // Overrides for this run only: the user's own config.toml stays what it is.
    start: (model, url) => ({
      args: [
        ...override('model_provider', anyKey),
        ...override(`model_providers.${anyKey}.name`, 'Ollama'),
        ...override(`model_providers.${anyKey}.base_url`, `${url}/v1`),
        ...override(`model_providers.${anyKey}.wire_api`, 'responses'),
        '-m',
        model,
      ],
      env: { OPENAI_API_KEY: anyKey },
    }),
  },
  {
    name: 'copilot',
    aliases: ['copilot-cli'],
    title: 'Copilot CLI',
    command: 'copilot',
    folders: ['.local/bin'],
    install: 'install from https://github.com/features/copilot/cli/',
    start: (model, url) => ({
      args: ['--model', model],
      env: {
        COPILOT_PROVIDER_BASE_URL: `${url}/v1`,
        COPILOT_PROVIDER_API_KEY: '',
        COPILOT_PROVIDER_WIRE_API: 'responses',
        COPILOT_MODEL: model,
      },
    }),
  },
  {
    name: 'opencode',
    title: 'OpenCode',
    command: 'opencode',
    folders: ['.opencode/bin'],
    install: 'install from https://opencode.ai',
    start: (model, url) => ({ env: { OPENCODE_CONFIG_CONTENT: JSON.stringify(openCode(model, url)) } }),
  },
  {
    name: 'qwen',
    title: 'Qwen Code',
    command: 'qwen',
    folders: ['.local/bin'],
    install: 'install with: npm install -g @qwen-code/qwen-code',
    start: (model, url) => ({
      env: { OPENAI_API_KEY: anyKey, OPENAI_BASE_URL: `${url}/v1`, OPENAI_MODEL: model },
    }),
  },
  {
    name: 'droid',
    title: 'Droid',
    command: 'droid',
    install: 'install from https://docs.factory.ai/cli/getting-started/quickstart',
    start: () => ({}),
    settings: { path: '.factory/settings.json', edit: editDroid },
  },
  {
    name: 'cline',
    title: 'Cline',
    command: 'cline',
    install: 'install with: npm install -g cline',
    start: () => ({}),
    settings: { path: '.cline/data/globalState.json', edit: editCline },
  },
]

/** Integrations of Ollama's that Drover does not configure. */
export const otherIntegrations = [
  'chatgpt',
  'claude-desktop',
  'clawdbot',
  'code',
  'dsh',
  'hermes',
  'hermes-desktop',
  'kimi',
  'moltbot',
  'muse',
  'omp',
  'openclaw',
  'pi',
  'pool',
  'vscode',
]

/** One `-c key="value"` of Codex; the value is TOML, whose strings are written as JSON's. */
function override(key: string, value: string): string[] {
  return ['-c', `${key}=${JSON.stringify(value)}`]
}

function openCode(model: string, url: string): Settings {
  const provider = {
    npm: '@ai-sdk/openai-compatible',
    name: 'Ollama',
    options: { baseURL: `${url}/v1` },
    models: { [model]: { name: model } },
  }
  return {
    $schema: 'https://opencode.ai/config.json',
    provider: { ollama: provider },
    model: `ollama/${model}`,
  }
}

function editDroid(settings: Settings, model: string, url: string): Settings {
  const others = Array.isArray(settings.customModels) ? settings.customModels : []
  const id = `custom:${model}-0`
  const own = {
    model,
    displayName: model,
    baseUrl: `${url}/v1`,
    apiKey: anyKey,
    provider: 'generic-chat-completion-api',
    maxOutputTokens: 64_000,
    supportsImages: false,
    id,
    index: 0,
  }
  return {
    ...settings,
    customModels: [own, ...others.filter((other) => other?.apiKey !== anyKey)],
    sessionDefaultSettings: {
      reasoningEffort: 'none',
      ...objectOf(settings.sessionDefaultSettings),
      model: id,
    },
  }
}

function editCline(settings: Settings, model: string, url: string): Settings {
  const modes = ['actMode', 'planMode'].map((mode) => ({
    [`${mode}ApiProvider`]: 'ollama',
    [`${mode}OllamaModelId`]: model,
    [`${mode}OllamaBaseUrl`]: url,
  }))
  return { ...settings, ollamaBaseUrl: url, ...modes[0], ...modes[1], welcomeViewCompleted: true }
}

function objectOf(value: unknown): Settings {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
