import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ConfigSources } from './layer.ts'
import { loadConfig } from './load.ts'
import { settings } from './settings.ts'

const homePath = '/home/ada/.drover/config.yaml'

/** Loads with Ada's home, from an environment, flags and files by path. */
function load(
  sources: Partial<Pick<ConfigSources, 'env' | 'flags'>> & { files?: Record<string, string> } = {},
) {
  const { env = {}, flags = {}, files = {} } = sources
  return loadConfig({ env, flags, homeDir: '/home/ada', cwd: '/srv', readFile: (path) => files[path] })
}

const withFile = (text: string) => load({ files: { [homePath]: text } })
const withEnv = (env: Record<string, string>) => load({ env })

describe('without any source', () => {
  it('gives the defaults and has nothing to warn of', () => {
    const { config, warnings, file } = load()
    expect({ warnings, file }).toEqual({ warnings: [], file: undefined })
    expect(config).toMatchObject({
      host: { scheme: 'http', address: '127.0.0.1', port: 11434, path: '' },
      modelsDir: '/home/ada/.ollama/models',
      droverHome: '/home/ada/.drover',
      enginesDir: '/home/ada/.drover/engines',
      engine: 'auto',
      keepAliveMs: 300_000,
      loadStallTimeoutMs: 300_000,
      maxLoadedModels: 0,
      maxQueue: 512,
      flashAttention: 'auto',
      kvCacheType: 'f16',
      logLevel: 'info',
      maxBodyBytes: 64 * 2 ** 20,
      drainTimeoutMs: 30_000,
    })
    for (const name of ['numParallel', 'contextLength', 'memoryLimitBytes', 'llamaServerPath'] as const) {
      expect(config[name]).toBeUndefined()
    }
  })

  it('has a default that its own schema takes, for every setting', () => {
    for (const { schema, default: written } of Object.values(settings).map((row) => ({
      default: undefined,
      ...row,
    }))) {
      expect(schema.safeParse(written).success).toBe(true)
    }
  })
})

describe('precedence', () => {
  const files = { [homePath]: 'keepAlive: 1m\n' }

  it('is flags, DROVER_ variables, OLLAMA_ variables, file, defaults', () => {
    const ollama = { OLLAMA_KEEP_ALIVE: '2m' }
    const drover = { ...ollama, DROVER_KEEP_ALIVE: '3m' }
    const flags = { keepAliveMs: '4m' }
    const minutes = [
      load(),
      load({ files }),
      load({ files, env: ollama }),
      load({ files, env: drover }),
      load({ files, env: drover, flags }),
    ].map(({ config }) => config.keepAliveMs / 60_000)
    expect(minutes).toEqual([5, 1, 2, 3, 4])
  })

  it('does not let an empty variable hide the file', () => {
    expect(load({ files, env: { OLLAMA_KEEP_ALIVE: ' ', DROVER_KEEP_ALIVE: '""' } }).config.keepAliveMs).toBe(
      60_000,
    )
  })
})

describe('the file', () => {
  it('is the one that --config names, else DROVER_CONFIG, else the one in the home of Drover', () => {
    const files = {
      '/srv/flag.yaml': 'maxQueue: 1',
      '/home/ada/variable.yaml': 'maxQueue: 2',
      '/opt/drover/config.yaml': 'maxQueue: 3',
      [homePath]: 'maxQueue: 4',
    }
    const env = { DROVER_CONFIG: '~/variable.yaml', DROVER_HOME: '/opt/drover' }
    expect(load({ files, env, flags: { config: 'flag.yaml' } }).config.maxQueue).toBe(1)
    expect(load({ files, env }).config.maxQueue).toBe(2)
    expect(load({ files, env: { DROVER_HOME: '/opt/drover' } })).toMatchObject({
      config: { maxQueue: 3 },
      file: '/opt/drover/config.yaml',
    })
    expect(load({ files }).config.maxQueue).toBe(4)
  })

  it('may be called drover.yaml, and is refused where both are', () => {
    const drover = { '/home/ada/.drover/drover.yaml': 'maxQueue: 5' }
    expect(load({ files: drover })).toMatchObject({
      config: { maxQueue: 5 },
      file: '/home/ada/.drover/drover.yaml',
      places: ['/home/ada/.drover/drover.yaml', homePath],
    })
    expect(() => load({ files: { ...drover, [homePath]: '' } })).toThrow('are both there, and one counts')
  })

  it('takes paths relative to its own folder, flags and variables to the working folder', () => {
    expect(withFile('models: ../store').config.modelsDir).toBe('/home/ada/store')
    expect(load({ flags: { modelsDir: 'store' } }).config.modelsDir).toBe('/srv/store')
    expect(withEnv({ DROVER_LLAMA_SERVER: './llama-server' }).config.llamaServerPath).toBe(
      '/srv/llama-server',
    )
    expect(withEnv({ OLLAMA_MODELS: '~/m' }).config.modelsDir).toBe('/home/ada/m')
  })

  it('may be empty, or leave a setting empty', () => {
    expect(withFile('').config).toEqual(load().config)
    expect(withFile('# nothing yet\nkeepAlive:\n').config).toEqual(load().config)
  })

  it('takes values in the types of YAML', () => {
    const { config } = withFile(
      'numParallel: 4\nflashAttention: true\norigins: [https://a.example]\nkeepAlive: -1\nmemoryLimit: 1000\n',
    )
    expect(config).toMatchObject({ numParallel: 4, flashAttention: 'on', memoryLimitBytes: 1000 })
    expect(config.keepAliveMs).toBe(Number.POSITIVE_INFINITY)
    expect(config.origins).toEqual(['https://a.example'])
  })
})

describe('what cannot be used is refused with place, value and what is allowed', () => {
  it.each([
    ['keepAlive: soon', 'keepAlive: "soon" is not allowed; it takes a duration'],
    ['engine: tgi', 'engine: "tgi" is not allowed; it takes auto, llama.cpp, embedded'],
    ['host: "box:99999"', 'host: "box:99999" is not allowed; it takes [scheme://]host[:port]'],
    ['maxQueue: 0', 'maxQueue: 0 is not allowed; it takes a whole number from 1'],
    ['maxQueue: [1]', 'maxQueue: [1] is not allowed; it takes a whole number'],
    ['numParallel: 1.5', 'numParallel: 1.5 is not allowed; it takes a whole number from 1, or auto'],
    ['memoryLimit: lots', 'memoryLimit: "lots" is not allowed; it takes a size such as 8GiB'],
    [
      'keepalive: 5m',
      'keepalive: there is no such setting; there are batchWindowMs, breakerFailures, breakerOpen',
    ],
    ['- a\n- b', 'it holds ["a","b"], where "name: value" lines are expected'],
  ])('%s', (text, message) => {
    expect(() => withFile(text)).toThrow(`${homePath}: ${message}`)
  })

  it('says at which line a file is not YAML', () => {
    expect(() => withFile('engine: auto\nhost: [1')).toThrow(/config\.yaml is not YAML: .* at line 2/)
  })

  it('names every problem at once', () => {
    expect(() => withFile('engine: x\nmaxQueue: y')).toThrow(/engine: "x".*\n.*maxQueue: "y"/)
    expect(() => withFile('engin: x\nmaxQueue: y')).toThrow(/engin: there is no.*\n.*maxQueue: "y"/)
  })

  it('names flags and variables as they are typed', () => {
    expect(() => load({ flags: { engine: 'x' } })).toThrow('--engine: "x" is not allowed')
    expect(() => withEnv({ DROVER_MAX_QUEUE: 'x' })).toThrow('DROVER_MAX_QUEUE: "x" is not allowed')
  })

  it('refuses a file that was asked for and is not there, or cannot be read', () => {
    expect(() => load({ flags: { config: 'gone.yaml' } })).toThrow('/srv/gone.yaml: there is no such file')
    const readFile = () => {
      throw new Error('permission denied')
    }
    expect(() => loadConfig({ env: {}, flags: {}, homeDir: '/h', cwd: '/', readFile })).toThrow(
      '/h/.drover/drover.yaml cannot be read: permission denied',
    )
  })

  it('cuts long values short', () => {
    expect(() => withFile(`engine: ${'x'.repeat(1000)}`)).toThrow(/^.{0,250}$/)
  })
})

describe("Ollama's variables", () => {
  it.each([
    [{ OLLAMA_HOST: ' "0.0.0.0:8080" ' }, { host: { address: '0.0.0.0', port: 8080 } }],
    [{ OLLAMA_KEEP_ALIVE: '-1' }, { keepAliveMs: Number.POSITIVE_INFINITY }],
    [{ OLLAMA_KEEP_ALIVE: '0' }, { keepAliveMs: 0 }],
    [{ OLLAMA_LOAD_TIMEOUT: '0' }, { loadStallTimeoutMs: Number.POSITIVE_INFINITY }],
    [{ OLLAMA_NUM_PARALLEL: '2' }, { numParallel: 2 }],
    [{ OLLAMA_NUM_PARALLEL: '0' }, { numParallel: undefined }],
    [{ OLLAMA_CONTEXT_LENGTH: '8192' }, { contextLength: 8192 }],
    [{ OLLAMA_CONTEXT_LENGTH: '0' }, { contextLength: undefined }],
    [{ OLLAMA_FLASH_ATTENTION: '1' }, { flashAttention: 'on' }],
    [{ OLLAMA_FLASH_ATTENTION: 'False' }, { flashAttention: 'off' }],
    [{ OLLAMA_FLASH_ATTENTION: 'enabled' }, { flashAttention: 'on' }],
    [{ OLLAMA_KV_CACHE_TYPE: 'Q8_0' }, { kvCacheType: 'q8_0' }],
    [{ OLLAMA_GO_TEMPLATE: '1' }, { goTemplate: true }],
    [{ OLLAMA_GO_TEMPLATE: 'false' }, { goTemplate: false }],
    [{ OLLAMA_NOPRUNE: 'yes' }, { prune: false }],
    [{ OLLAMA_NOPRUNE: '0' }, { prune: true }],
    [{ OLLAMA_GPU_OVERHEAD: '1073741824' }, { gpuOverheadBytes: 2 ** 30 }],
    [{ OLLAMA_GPU_OVERHEAD: '0' }, { gpuOverheadBytes: 0 }],
    [{ OLLAMA_DEBUG: 'true' }, { logLevel: 'debug' }],
    [{ OLLAMA_DEBUG: '2' }, { logLevel: 'trace' }],
    [{ OLLAMA_DEBUG: '0' }, { logLevel: 'info' }],
    [{ OLLAMA_DEBUG: 'perhaps' }, { logLevel: 'info' }],
    [{ OLLAMA_DEBUG: '-1' }, { logLevel: 'warn' }],
    [{ OLLAMA_DEBUG: '-2' }, { logLevel: 'error' }],
  ])('%j', (env, expected) => {
    const { config, warnings } = withEnv(env as Record<string, string>)
    expect(config).toMatchObject(expected)
    expect(warnings).toEqual([])
  })

  it('split origins at commas', () => {
    const { origins } = withEnv({ OLLAMA_ORIGINS: 'https://a.example, http://b.example:*,' }).config
    expect(origins).toEqual(['https://a.example', 'http://b.example:*'])
  })

  it('are passed over with a warning where they cannot be used, and the next source counts', () => {
    const files = { [homePath]: 'maxQueue: 7' }
    const { config, warnings } = load({ files, env: { OLLAMA_MAX_QUEUE: 'many' } })
    expect(config.maxQueue).toBe(7)
    expect(warnings).toEqual([
      'OLLAMA_MAX_QUEUE: "many" is not allowed and is passed over; it takes a whole number from 1',
    ])
  })

  it('keep the address of a host whose port is bad', () => {
    const { config, warnings } = withEnv({ OLLAMA_HOST: 'https://box:bad/x' })
    expect(config.host).toEqual({ scheme: 'https', address: 'box', port: 443, path: '/x' })
    expect(warnings).toEqual(['OLLAMA_HOST: "bad" is not a port; 443 is taken'])
  })

  it('warns of those that Ollama has dropped, that have no effect here, and that do not exist', () => {
    const { warnings } = withEnv({
      OLLAMA_INTEL_GPU: '1',
      OLLAMA_SCHED_SPREAD: '1',
      OLLAMA_HOTS: 'x',
      DROVER_ENGIN: 'auto',
      OLLAMA_API_KEY: 'secret',
      OLLAMA_NOHISTORY: '1',
      OLLAMA_TMPDIR: '',
      PATH: '/bin',
    })
    expect(warnings).toEqual([
      "DROVER_ENGIN is set, but it is no setting of Drover's and has no effect",
      "OLLAMA_HOTS is set, but it is no variable of Ollama's and has no effect",
      'OLLAMA_INTEL_GPU is set, but Ollama has dropped it and it has no effect',
      'OLLAMA_SCHED_SPREAD is set, but has no effect in Drover: set LLAMA_ARG_SPLIT_MODE and LLAMA_ARG_TENSOR_SPLIT for llama-server',
    ])
  })

  it('never stop the start, whatever is in them', () => {
    const name = fc.constantFrom(
      ...Object.values(settings).flatMap((row) =>
        'ollama' in row && !('strict' in row.ollama) ? [row.ollama.name] : [],
      ),
    )
    fc.assert(
      fc.property(fc.dictionary(name, fc.string()), (env) => {
        const { config } = withEnv(env)
        expect(config.host.port).toBeLessThanOrEqual(65_535)
        expect(config.keepAliveMs).toBeGreaterThanOrEqual(0)
        expect(config.maxQueue).toBeGreaterThanOrEqual(1)
      }),
    )
  })
})
