import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runDrover, startDrover, type TestDrover } from '../support/drover.ts'
import { openTerminal } from '../support/terminal.ts'

const run = promisify(execFile)
const launcher = fileURLToPath(new URL('../../bin/drover.js', import.meta.url))

let drover: TestDrover
let home = ''
let env: Record<string, string> = {}
beforeAll(async () => {
  drover = await startDrover()
  home = await mkdtemp(join(tmpdir(), 'drover-cli-'))
  env = { HOME: home, OLLAMA_HOST: drover.url }
})
afterAll(async () => {
  await rm(home, { recursive: true, force: true })
  expect(await drover.stop()).toBe(0)
})

const cli = (...args: string[]) => runDrover(args, env)

/** Runs a shell command line in which `drover` is Drover. */
const shell = (command: string) =>
  run('sh', ['-c', `drover() { '${process.execPath}' '${launcher}' "$@"; }; ${command}`], {
    env: { PATH: process.env.PATH, ...env },
  })

describe('listings', () => {
  it('show the models of the store', async () => {
    const { stdout, code } = await cli('ls')
    expect(code).toBe(0)
    const [titles, row] = stdout.split('\n')
    expect(titles).toMatch(/^NAME {13}ID {14}SIZE {6}MODIFIED {4,}$/)
    expect(row).toMatch(/^drover:latest {4}[0-9a-f]{12} {4}\d\.\d MB {4}.* ago {4,}$/)
    expect((await cli('list', 'DRO')).stdout).toContain('drover:latest')
    expect((await cli('list', 'x')).stdout.trim()).toMatch(/^NAME {4}ID {4}SIZE {4}MODIFIED$/)
  })

  it('show what is loaded, until when, and that it is gone', async () => {
    await cli('run', 'drover', 'Hello', '--keepalive', '-1s')
    const { stdout } = await cli('ps')
    expect(stdout.split('\n')[1]).toMatch(
      /^drover:latest {4}[0-9a-f]{12} {4}\d+ MB {4}100% CPU {5}\d+ +Forever {4,}$/,
    )
    expect(await cli('stop', 'drover')).toEqual({ code: 0, stdout: '', stderr: '' })
    expect((await cli('ps')).stdout.trim().split('\n')).toHaveLength(1)
  })

  it('come as JSON when asked', async () => {
    expect(JSON.parse((await cli('list', '--json')).stdout)).toMatchObject([{ name: 'drover:latest' }])
    expect(JSON.parse((await cli('ps', '--json')).stdout)).toEqual([])
    expect(JSON.parse((await cli('show', 'drover', '--json')).stdout)).toMatchObject({
      details: { family: 'llama' },
    })
    expect(JSON.parse((await cli('launch', '--json')).stdout)).toContainEqual(
      expect.objectContaining({ name: 'claude', title: 'Claude Code' }),
    )
  })

  it('end quietly when their reader has had enough', async () => {
    expect((await shell('drover list | head -1')).stderr).toBe('')
  })
})

describe('show', () => {
  it('prints the sides of a model as tables', async () => {
    const { stdout } = await cli('show', 'drover')
    expect(stdout).toMatch(/^ {2}Model\n {4}architecture {8}llama {4,}\n {4}parameters {10}\d\.\d+M/)
    expect(stdout).toContain('\n\n  Capabilities\n    completion    \n')
    expect(stdout).not.toContain('Tensors')
    const { stdout: verbose } = await cli('show', '-v', 'drover')
    expect(verbose).toMatch(/\n {2}Metadata\n(.*\n)* {4}general\.architecture +llama/)
    expect(verbose).toMatch(/\n {2}Tensors\n(.*\n)* {4}token_embd\.weight +Q8_0 +\[\d+ \d+\]/)
  })

  it('prints one side alone, and no two', async () => {
    expect((await cli('show', 'drover', '--template')).stdout).toContain('{{')
    expect((await cli('show', 'drover', '--modelfile')).stdout).toContain('FROM ')
    expect((await cli('show', 'drover', '--parameters')).stdout).toMatch(/^temperature +0\n$/)
    expect(await cli('show', 'drover', '--license', '--system')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        "Error: only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified\n",
    })
  })
})

describe('run', () => {
  it('answers on stdout and is plain where there is no terminal', async () => {
    expect(await cli('run', 'drover', 'What is the capital of France?')).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /^Thinking\.\.\.\n.*\n\.\.\.done thinking\.\n\nThe capital of France is Paris\.\n\n$/,
      ),
      stderr: '',
    })
  })

  it('puts what is piped in before the prompt', async () => {
    const { stdout } = await shell(
      'printf "What is the capital" | drover run drover "of France?" --think=false',
    )
    expect(stdout).toBe('The capital of France is Paris.\n\n')
  })

  it('hides thinking, and shows timings on stderr', async () => {
    const { stdout, stderr } = await cli(
      'run',
      'drover',
      '--hidethinking',
      '--verbose',
      'What is the capital of France?',
    )
    expect(stdout).toBe('The capital of France is Paris.\n\n')
    expect(stderr).toMatch(/^total duration: {7}[\d.]+m?s\nload duration: {8}/)
    expect(stderr).toMatch(/\neval rate: {12}[\d.]+ tokens\/s\n$/)
  })

  it('takes flags as Ollama does: values of optional ones only with =, booleans with true and false', async () => {
    const { stdout } = await cli(
      'run',
      '--think',
      '--verbose=false',
      'drover',
      'What is the capital of France?',
    )
    expect(stdout).toContain('...done thinking.')
    expect((await cli('run', 'drover', '--verbose=maybe', 'x')).stderr).toMatch(
      /^Error: invalid argument "maybe"/,
    )
    expect((await cli('run', 'drover', '--think=deep', 'x')).stderr).toBe(
      'Error: invalid value for --think: "deep" (must be true, false, high, medium, low, or max)\n',
    )
  })

  it('keeps to a format', async () => {
    const schema = { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] } }, required: ['city'] }
    const { stdout } = await cli(
      'run',
      'drover',
      '--think=false',
      '--format',
      JSON.stringify(schema),
      'What is the capital of France?',
    )
    expect(['Paris', 'Rome']).toContain(JSON.parse(stdout).city)
    expect((await cli('run', 'drover', '--format', '{oops', 'x')).stderr).toContain(
      '--format is not the JSON',
    )
  })

  it('loads the model and says nothing when there is nothing to ask', async () => {
    expect(await cli('run', 'drover')).toEqual({ code: 0, stdout: '', stderr: '' })
    expect((await cli('ps')).stdout).toContain('drover:latest')
  })

  it('breaks lines between words on a terminal, unless told not to', async () => {
    const question = "'Say: one two three four five six seven eight nine ten eleven twelve thirteen fourteen'"
    const wrapped = openTerminal(`drover run drover --hidethinking ${question}`, env)
    expect(await wrapped.exited).toBe(0)
    for (const line of wrapped.text().split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    const straight = openTerminal(`drover run drover --hidethinking --nowordwrap ${question}`, env)
    expect(await straight.exited).toBe(0)
    expect(straight.text().length).toBeGreaterThan(0)
  })
})

describe('errors', () => {
  it.each([
    [['show', 'nope'], "Error: model 'nope:latest' not found\n"],
    [['stop', 'nope'], 'Error: couldn\'t find model "nope" to stop\n'],
    [['signin'], 'Error: ollama cloud is disabled: account is unavailable\n'],
    [['launch', 'nope'], 'Error: unknown integration: nope\n'],
    [['launch', 'codex'], 'Error: codex is not installed, install with: npm install -g @openai/codex\n'],
  ])('of %j are told in one line', async (args, stderr) => {
    expect(await cli(...args)).toEqual({ code: 1, stdout: '', stderr })
  })

  it.each([
    [['lst'], /^Error: unknown command "lst" for "drover"/],
    [['list', '--what'], /^Error: unknown option '--what'/],
    [['show'], /^Error: missing required argument 'MODEL'/],
    [['cp', 'a'], /^Error: missing required argument 'DESTINATION'/],
  ])('of the command line %j say what is wrong', async (args, stderr) => {
    const result = await cli(...args)
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(stderr)
  })

  it('say how to start a server when none answers', async () => {
    const nowhere = { ...env, OLLAMA_HOST: '127.0.0.1:1' }
    for (const command of ['list', 'ps', 'stop x', 'show x', 'run x y', 'pull x', 'rm x', 'cp x y']) {
      const { code, stderr } = await runDrover(command.split(' '), nowhere)
      expect({ command, code, stderr }).toEqual({
        command,
        code: 1,
        stderr:
          "Error: could not connect to drover server, run 'drover serve' to start it, or set OLLAMA_HOST " +
          '(nothing answers at http://127.0.0.1:1)\n',
      })
    }
  })
})

describe('through a link named ollama', () => {
  let ollama = ''
  beforeAll(async () => {
    ollama = join(home, 'ollama')
    await symlink(launcher, ollama)
  })
  const asOllama = (args: string[], more: Record<string, string> = {}) =>
    run(process.execPath, [ollama, ...args], { env: { PATH: process.env.PATH, ...env, ...more } })

  it('it is ollama: its version is the server’s, with a warning where they differ', async () => {
    expect((await asOllama(['--version'])).stdout).toMatch(/^ollama version is \d+\.\d+\.\d+\n$/)
    expect((await asOllama(['-v'], { OLLAMA_HOST: '127.0.0.1:1' })).stdout).toMatch(
      /^Warning: could not connect to a running Ollama instance\nWarning: client version is \d+\.\d+\.\d+\n$/,
    )
  })

  it('help and errors name it so', async () => {
    expect((await asOllama(['run', '--help'])).stdout).toContain(
      'Usage:\n  ollama run MODEL [PROMPT] [flags]',
    )
    await expect(asOllama(['list'], { OLLAMA_HOST: '127.0.0.1:1' })).rejects.toMatchObject({
      code: 1,
      stderr: "Error: could not connect to ollama server, run 'ollama serve' to start it\n",
    })
    expect((await asOllama(['completion', 'bash'])).stdout).toContain('complete -F _ollama ollama')
  })
})

describe('completion', () => {
  it('is a script that its shell accepts', async () => {
    await run('bash', ['-c', `bash -n <('${process.execPath}' '${launcher}' completion bash)`])
    const { stdout: zsh } = await cli('completion', 'zsh')
    const { stdout: fish } = await cli('completion', 'fish')
    expect(zsh.startsWith('#compdef drover\n')).toBe(true)
    expect(fish).toContain("complete -c drover -n '__fish_seen_subcommand_from run' -l format -r -F")
    for (const [name, script] of [
      ['zsh', zsh],
      ['fish', fish],
    ] as const) {
      const file = join(home, `completion.${name}`)
      await writeFile(file, script)
      // Checked by the shell itself where it is installed; the text above is checked anywhere.
      await run('sh', ['-c', `! command -v ${name} >/dev/null || ${name} -n '${file}'`])
    }
  })

  it('in bash completes commands, flags, and models of the server', async () => {
    const script = `
      source <(drover completion bash)
      complete_line() { COMP_WORDS=($1 "$2"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _drover; echo "\${COMPREPLY[*]}"; }
      complete_line drover pu
      complete_line "drover run" dro
      complete_line "drover show" --mod
      complete_line "drover completion" z
      complete_line "drover engine" in
      complete_line "drover launch" co`
    const { stdout } = await run(
      'bash',
      ['-c', `drover() { '${process.execPath}' '${launcher}' "$@"; }\n${script}`],
      { env: { PATH: process.env.PATH, ...env } },
    )
    expect(stdout.split('\n')).toEqual([
      'pull push',
      'drover:latest',
      '--modelfile',
      'zsh',
      'install',
      'codex copilot',
      '',
    ])
  })
})

describe('launch', () => {
  /** A program that prints what it was started with. */
  async function install(name: string): Promise<Record<string, string>> {
    const bin = join(home, 'bin')
    await run('mkdir', ['-p', bin])
    const script =
      '#!/bin/sh\necho "args: $@"\nenv | grep -E "^(ANTHROPIC|OPENAI|OPENCODE|COPILOT)_" | sort\nexit 3\n'
    await writeFile(join(bin, name), script, { mode: 0o755 })
    return { ...env, PATH: `${bin}:${process.env.PATH}` }
  }

  it('starts a program with the server’s address and the model, and ends as it does', async () => {
    const { code, stdout } = await runDrover(['launch', 'claude', '--', '-p', 'hi'], await install('claude'))
    expect(code).toBe(3)
    expect(stdout).toContain('args: --model drover:latest -p hi\n')
    expect(stdout).toContain(`ANTHROPIC_BASE_URL=${drover.url}\n`)
    expect(stdout).toContain('ANTHROPIC_DEFAULT_SONNET_MODEL=drover:latest\n')
    const codex = await runDrover(['launch', 'codex', '--model', 'drover'], await install('codex'))
    expect(codex.stdout).toContain(`model_providers.ollama.base_url="${drover.url}/v1"`)
    const opencode = await runDrover(['launch', 'opencode'], await install('opencode'))
    expect(opencode.stdout).toContain('"model":"ollama/drover:latest"')
  })

  it('changes the settings of a program that takes them from a file, and restores them', async () => {
    const path = join(home, '.factory', 'settings.json')
    await run('mkdir', ['-p', join(home, '.factory')])
    const before = '{"theme":"dark","customModels":[{"model":"mine","apiKey":"secret"}]}'
    await writeFile(path, before)
    const withDroid = await install('droid')
    expect((await runDrover(['launch', 'droid', '--config'], withDroid)).stdout).toBe(`wrote ${path}\n`)
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({
      theme: 'dark',
      customModels: [{ model: 'drover:latest', baseUrl: `${drover.url}/v1` }, { model: 'mine' }],
    })
    expect((await runDrover(['launch', 'droid', '--restore'], withDroid)).stdout).toBe(`restored ${path}\n`)
    expect(await readFile(path, 'utf8')).toBe(before)
  })

  it('refuses by name what it cannot do', async () => {
    const { stderr } = await runDrover(['launch', 'claude', '--model', 'nope'], await install('claude'))
    expect(stderr).toBe(
      'Error: model "nope" not found; run \'drover pull nope\' first, or use --yes to auto-pull\n',
    )
    expect((await cli('launch', 'vscode')).stderr).toContain('vscode cannot be configured by Drover')
  })
})
