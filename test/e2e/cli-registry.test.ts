import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.ts'
import { runDrover, startDrover, type TestDrover } from '../support/drover.ts'
import { openTerminal } from '../support/terminal.ts'

let drover: TestDrover
let registry: DockerRegistry
let home = ''
let env: Record<string, string> = {}
let name = ''
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-cli-registry-'))
  registry = await startDockerRegistry()
  drover = await startDrover({ env: { HOME: home } })
  env = { HOME: home, OLLAMA_HOST: drover.url }
  name = `${registry.host}/library/small`
})
afterAll(async () => {
  await registry.stop()
  expect(await drover.stop()).toBe(0)
  await rm(home, { recursive: true, force: true })
})

const cli = (...args: string[]) => runDrover(args, env)

describe('a registry, from the command line', () => {
  it('is pushed to, and says where the model is', async () => {
    await cli('cp', 'drover', name)
    const { code, stdout, stderr } = await cli('push', name, '--insecure')
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `\nYou can find your model at:\n\n\t${name}:latest\n`,
    })
    expect(stderr).toMatch(
      /^retrieving manifest\n(pushing [0-9a-f]{12}: +\d+% .*\n)+pushing manifest\nsuccess\n$/,
    )
  })

  it('is pulled from, with a line a step where there is no terminal', async () => {
    await cli('rm', name, 'drover')
    const { code, stdout, stderr } = await cli('pull', name, '--insecure')
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toMatch(/^pulling manifest\n/)
    expect(stderr).toMatch(/\npulling [0-9a-f]{12}: 100% \d\.\d MB\n/)
    expect(stderr).toMatch(/\nverifying sha256 digest\nwriting manifest\n(.*\n)?success\n$/)
  })

  it('shows bars on a terminal', async () => {
    const terminal = openTerminal(`drover pull '${name}' --insecure`, env)
    expect(await terminal.exited).toBe(0)
    expect(terminal.text()).toMatch(/pulling [0-9a-f]{12}: 100% ▕█+▏ \d\.\d MB/)
    expect(terminal.text()).toMatch(/success *\n$/)
  })

  it('gives run a model that is not here', async () => {
    await cli('rm', name)
    const question = 'What is the capital of France?'
    const { code, stdout, stderr } = await cli('run', '--insecure', '--hidethinking', name, question)
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'The capital of France is Paris.\n\n' })
    expect(stderr).toMatch(/^pulling manifest\n/)
  })

  it.each(['pull', 'run'])('has no such model: %s says so in Ollama’s words', async (command) => {
    const { code, stderr } = await cli(command, `${registry.host}/library/nope`, '--insecure')
    expect(code).toBe(1)
    expect(stderr).toMatch(/\nError: pull model manifest: file does not exist\n$/)
  })
})
