import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startDrover, type TestDrover } from '../support/drover.ts'
import { openTerminal, type TestTerminal } from '../support/terminal.ts'

const placeholder = 'Send a message (/? for help)'
const interrupt = '\u0003'
const endOfInput = '\u0004'
const up = '\u001b[A'

const list = (items: object) => ({ type: 'array', minItems: 90, items })
/** Has the model write numbers for many seconds. */
const endless = `--format '${JSON.stringify(list(list({ type: 'integer' })))}'`

let drover: TestDrover
let home = ''
let terminal: TestTerminal | undefined

beforeAll(async () => {
  drover = await startDrover()
  home = await mkdtemp(join(tmpdir(), 'drover-repl-'))
})
afterAll(async () => {
  await rm(home, { recursive: true, force: true })
  expect(await drover.stop()).toBe(0)
})
afterEach(async () => {
  if (terminal?.process.exitCode !== null) return
  terminal.process.kill('SIGKILL')
  await terminal.exited
})

/** The prompt, ready to be typed at. */
async function start(command = 'drover run drover', env: Record<string, string> = {}): Promise<TestTerminal> {
  const opened = openTerminal(command, { HOME: home, OLLAMA_HOST: drover.url, ...env })
  terminal = opened
  await opened.sees(placeholder)
  return opened
}

const history = () => readFile(join(home, '.ollama', 'history'), 'utf8')

describe('the prompt', () => {
  it('answers, keeps the conversation, and ends with /bye', async () => {
    const prompt = await start()
    prompt.type('What is the capital of France?\r')
    await prompt.sees('Thinking...')
    await prompt.sees('...done thinking.')
    expect(await prompt.sees(placeholder)).toContain('The capital of France is Paris.\n\n>>> ')
    prompt.type('/bye\r')
    expect(await prompt.exited).toBe(0)
    expect(prompt.raw()).toContain('\u001b[38;5;245m')
  })

  it('ends with Ctrl-D and leaves the terminal as it was', async () => {
    const prompt = await start('drover run drover; stty -a')
    prompt.type(endOfInput)
    const settings = await prompt.sees(/ iexten [\s\S]*\n/)
    expect(settings).toMatch(/\sicanon\s[\s\S]*\secho\s/)
    expect(await prompt.exited).toBe(0)
    expect(prompt.raw()).toContain('\u001b[?2004l')
  })

  it('tells how to leave when Ctrl-C is pressed on an empty line, and drops a line that is not', async () => {
    const prompt = await start()
    prompt.type(interrupt)
    await prompt.sees('Use Ctrl + d or /bye to exit.')
    await prompt.sees(placeholder)
    prompt.type(`/nonsense${interrupt}`)
    expect(await prompt.sees(placeholder)).not.toContain('Unknown command')
    prompt.type('/nonsense\r')
    await prompt.sees("Unknown command '/nonsense'. Type /? for help")
  })

  it('stops an answer at Ctrl-C, and the model is free for the next one', async () => {
    const prompt = await start(`drover run drover ${endless}`)
    prompt.type('Count.\r')
    await prompt.sees(/\d+, *\d+, *\d+/)
    prompt.type(interrupt)
    await prompt.sees(placeholder)
    prompt.type('/set noformat\r/clear\rWhat is the capital of Italy?\r')
    await prompt.sees('Rome.')
  })

  it('lets the shell have the terminal at Ctrl-Z, and goes on when it is given back', async () => {
    const prompt = await start('set -m; drover run drover; echo the shell has it; read line; fg')
    prompt.type('What is the capital')
    await prompt.sees('What is the capital')
    prompt.type('\u001a')
    await prompt.sees('the shell has it')
    prompt.type('\r')
    await prompt.sees('>>> What is the capital')
    prompt.type(' of France?\r')
    await prompt.sees('Paris.')
  })

  it('passes over Ctrl-Z where there is no shell to go to', async () => {
    const prompt = await start()
    prompt.type('What is the capital\u001a of France?\r')
    await prompt.sees('Paris.')
  })

  it('takes several lines: between quotes, by Ctrl-J, and pasted', async () => {
    const prompt = await start()
    prompt.type('"""What is the capital of Italy?\r')
    await prompt.sees('Press Enter to send')
    prompt.type('"""\r')
    await prompt.sees('Rome.')
    await prompt.sees(placeholder)
    prompt.type('What is the capital of France?')
    await prompt.sees('capital of France?')
    prompt.type('\n')
    await prompt.sees('... ')
    prompt.type('\r')
    await prompt.sees('Paris.')
    await prompt.sees(placeholder)
    prompt.type('\u001b[200~What is the capital of Italy?\r\u001b[201~')
    await prompt.sees('Italy?\n... ')
    prompt.type('\r')
    await prompt.sees('Rome.')
  })

  it('knows the keys of a line: start, end, words, and what deletes them', async () => {
    const prompt = await start()
    prompt.type(
      'xshow\u0001\u001b[3~/\u0005 sys foo\u0017templateX\u007f\u001b[D\u001b[D\u000bXY\u007f\u007f',
    )
    await prompt.sees('>>> /show sys templa')
    prompt.type('\u0015/set quiet\r')
    await prompt.sees("Set 'quiet' mode.")
  })

  it('recalls what was typed, in this run and in the last one', async () => {
    const first = await start()
    first.type('/set verbose\r')
    await first.sees("Set 'verbose' mode.")
    first.type('/bye\r')
    await first.exited
    expect(await history()).toMatch(/\/set verbose\n\/bye\n$/)
    expect((await stat(join(home, '.ollama', 'history'))).mode & 0o777).toBe(0o600)
    const second = await start()
    second.type(`${up}${up}`)
    await second.sees('>>> /set verbose')
    second.type('\r')
    await second.sees("Set 'verbose' mode.")
  })

  it('writes nothing down when that is switched off', async () => {
    const prompt = await start('drover run drover', { OLLAMA_NOHISTORY: '1' })
    prompt.type('/set secret-one\r/set history\r/set open-two\r/set nohistory\r/set secret-three\r')
    await prompt.sees('secret-three')
    await prompt.sees('Unknown command')
    // What was typed while it was off is remembered meanwhile, and written with the next line, as Ollama does.
    expect(await history()).not.toContain('secret-three')
  })

  it('opens an editor at Ctrl-G and takes over what was written there', async () => {
    const script = join(home, 'editor.sh')
    await writeFile(script, '#!/bin/sh\nprintf "$(cat "$1") capital of France?\\n" > "$1"\n', { mode: 0o755 })
    const prompt = await start('drover run drover', { OLLAMA_EDITOR: script })
    prompt.type('What is the\u0007')
    await prompt.sees('>>> What is the capital of France?')
    prompt.type('\r')
    await prompt.sees('Paris.')
  })

  it('says so when there is no such editor', async () => {
    const prompt = await start('drover run drover', { OLLAMA_EDITOR: 'no-such-editor' })
    prompt.type('\u0007')
    await prompt.sees('error: editor "no-such-editor" not found')
    await prompt.sees(placeholder)
  })
})

describe('the commands of the prompt', () => {
  it('set what the session asks with', async () => {
    const prompt = await start()
    for (const [typed, answer] of [
      ['/set parameter seed 7', "Set parameter 'seed' to '7'"],
      ['/set parameter stop one two', "Set parameter 'stop' to 'one, two'"],
      ['/set parameter seed x', 'Couldn\'t set parameter: "invalid int value [x]"'],
      ['/set parameter foo 1', "Couldn't set parameter: \"unknown parameter 'foo'\""],
      ['/set parameter', 'Available Parameters:'],
      ['/set wordwrap', "Set 'wordwrap' mode."],
      ['/set nowordwrap', "Set 'nowordwrap' mode."],
      ['/set format xml', "Invalid or missing format. For 'json' mode use '/set format json'"],
      ['/set format json', "Set format to 'json' mode."],
      ['/set noformat', 'Disabled format.'],
      ['/set think high', "Set 'think' mode to 'high'."],
      ['/set nothink', "Set 'nothink' mode."],
      ['/set foo', "Unknown command '/set foo'. Type /? for help"],
      ['/set', '/set system <string>   Set system message'],
      ['/set system Be brief.', 'Set system message.'],
      ['/clear', 'Cleared session context'],
      ['/show system', 'Be brief.'],
      ['/show parameters', 'User defined parameters:\n  seed                           7\n'],
      ['/show foo', "Unknown command '/show foo'. Type /? for help"],
      ['/?', '/load <model>   Load a session or model'],
      ['/? shortcuts', 'Ctrl + g            Open default editor to compose a prompt'],
      ['/list', 'NAME'],
    ] as const) {
      prompt.type(`${typed}\r`)
      await prompt.sees(answer)
      await prompt.sees(placeholder)
    }
  })

  it('show the model', async () => {
    const prompt = await start()
    for (const [typed, answer] of [
      ['/show info', 'architecture        llama'],
      ['/show license', 'No license was specified for this model.'],
      ['/show template', '{{'],
      ['/show modelfile', '# Modelfile generated by "ollama show"'],
      ['/show', '/show template     Show prompt template'],
    ] as const) {
      prompt.type(`${typed}\r`)
      await prompt.sees(answer)
      await prompt.sees(placeholder)
    }
  })

  it('take a system message of several lines', async () => {
    const prompt = await start()
    prompt.type('/set system """Be brief.\r')
    await prompt.sees('Press Enter to send')
    prompt.type('Be kind."""\r')
    await prompt.sees('Set system message.')
    prompt.type('/show system\r')
    await prompt.sees('Be brief.\nBe kind.')
  })

  it('print timings when asked', async () => {
    const prompt = await start('drover run drover --hidethinking')
    prompt.type('/set verbose\rWhat is the capital of France?\r')
    await prompt.sees('Paris.')
    expect(await prompt.sees(placeholder)).toMatch(/eval rate: +[\d.]+ tokens\/s/)
    expect(prompt.text()).not.toContain('Thinking...')
  })

  it('say when a model to load is not there, and stay with the one that is', async () => {
    const prompt = await start()
    prompt.type('/load nope\r')
    await prompt.sees("Loading model 'nope'\nCouldn't find model 'nope'")
    prompt.type('/load\r')
    await prompt.sees('Usage:\n  /load <modelname>')
    prompt.type('What is the capital of France?\r')
    await prompt.sees('Paris.')
  })
})
