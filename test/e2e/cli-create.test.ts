import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { getJson, post, runDrover, startDrover, type TestDrover } from '../support/drover.ts'
import { openTerminal } from '../support/terminal.ts'

let drover: TestDrover
let home = ''
let env: Record<string, string> = {}
/** The bundled model's file. */
let gguf = ''
beforeAll(async () => {
  drover = await startDrover()
  home = await mkdtemp(join(tmpdir(), 'drover-cli-create-'))
  env = { HOME: home, OLLAMA_HOST: drover.url }
  const { text } = await post(`${drover.url}/api/show`, { model: 'drover' })
  gguf = /^FROM (\/.*)$/m.exec((JSON.parse(text) as { modelfile: string }).modelfile)?.[1] ?? ''
})
afterAll(async () => {
  await rm(home, { recursive: true, force: true })
  expect(await drover.stop()).toBe(0)
})

const cli = (...args: string[]) => runDrover(args, env)

async function modelfile(text: string): Promise<string> {
  const path = join(await mkdtemp(join(home, 'model-')), 'Modelfile')
  await writeFile(path, text)
  return path
}

describe('create', () => {
  it('makes a model of another one and of what the Modelfile says', async () => {
    const path = await modelfile(
      'FROM drover\nSYSTEM """Be\nbrief."""\nPARAMETER seed 7\nPARAMETER stop <end>\nLICENSE MIT\nMESSAGE user Hi\n',
    )
    const { code, stderr } = await cli('create', 'brief', '-f', path)
    expect(code).toBe(0)
    expect(stderr).toMatch(/^gathering model components\n(.*\n)*writing manifest\nsuccess\n$/)
    expect((await cli('show', 'brief', '--system')).stdout).toBe('Be\nbrief.')
    expect((await cli('show', 'brief', '--parameters')).stdout).toMatch(/seed +7\n/)
    expect((await cli('show', 'brief')).stdout).toContain('  License\n    MIT    \n')
  })

  it('uploads a file, relative to the Modelfile, and only when the server has not got it', async () => {
    const path = await modelfile('FROM ./weights.gguf\nTEMPLATE {{ .Prompt }}')
    await copyFile(gguf, join(path, '..', 'weights.gguf'))
    const first = await cli('create', 'own', '-f', path)
    expect(first).toMatchObject({ code: 0 })
    expect(first.stderr).not.toContain('copying file')
    const shape = { layers: 1, dim: 32, heads: 2, ffn: 64, vocab: 300, context: 128 }
    await writeSyntheticGguf(join(path, '..', 'weights.gguf'), { architecture: 'llama', ...shape })
    const second = await cli('create', 'own', '-f', path)
    expect(second).toMatchObject({ code: 0 })
    expect(second.stderr).toMatch(/\ncopying file sha256:[0-9a-f]{64} 0%\n/)
    expect((await cli('show', 'own')).stdout).toMatch(/embedding length +32/)
  })

  it('takes the folder for the model when there is no Modelfile', async () => {
    const folder = await mkdtemp(join(home, 'folder-'))
    await copyFile(gguf, join(folder, 'model.gguf'))
    const terminal = openTerminal(`cd '${folder}' && drover create folder`, env)
    expect(await terminal.exited).toBe(0)
    await terminal.sees('success')
    expect((await cli('list', 'folder')).stdout).toContain('folder:latest')
  })

  it('says what is wrong before anything is sent', async () => {
    const empty = await mkdtemp(join(home, 'empty-'))
    expect((await cli('create', 'x', '-f', join(home, 'none'))).stderr).toBe(
      "Error: specified Modelfile wasn't found\n",
    )
    expect((await cli('create', 'x', '-f', await modelfile('SYSTEM x'))).stderr).toBe('Error: no FROM line\n')
    const noWeights = await cli('create', 'x', '-f', await modelfile(`FROM ${empty}`))
    expect(noWeights.stderr).toContain(`Error: no Modelfile or safetensors files found in ${empty}\n`)
    const badAdapter = await cli('create', 'x', '-f', await modelfile('FROM drover\nADAPTER ./none.gguf'))
    expect(badAdapter.stderr).toMatch(/Error: there is no file .*none\.gguf\n$/)
  })

  it('passes over what Git LFS left in place of weights', async () => {
    const folder = await mkdtemp(join(home, 'lfs-'))
    await writeFile(join(folder, 'model.safetensors'), 'version https://git-lfs.github.com/spec/v1\n')
    await mkdir(join(folder, 'nested'))
    const { stderr } = await cli('create', 'x', '-f', await modelfile(`FROM ${folder}`))
    expect(stderr).toContain('no Modelfile or safetensors files found')
  })
})

describe('copies', () => {
  it('are made and deleted', async () => {
    expect((await cli('cp', 'drover', 'second')).stdout).toBe("copied 'drover' to 'second'\n")
    expect(await cli('cp', 'nope', 'third')).toMatchObject({
      code: 1,
      stderr: 'Error: model "nope" not found\n',
    })
    await cli('run', 'second', 'Hello')
    expect(await cli('rm', 'second', 'nope')).toEqual({
      code: 1,
      stdout: "deleted 'second'\n",
      stderr: "Error: model 'nope' not found\n",
    })
    expect(await getJson(`${drover.url}/api/ps`)).toEqual({ models: [] })
  })
})

describe('a saved session', () => {
  it('is a model with its settings and what was said, and can be loaded', async () => {
    const terminal = openTerminal('drover run drover', env)
    const at = async (typed: string, answer: string) => {
      terminal.type(`${typed}\r`)
      await terminal.sees(answer)
      await terminal.sees('Send a message')
    }
    await terminal.sees('Send a message')
    await at('/set system Be brief.', 'Set system message.')
    await at('/set parameter seed 9', "Set parameter 'seed' to '9'")
    await at('What is the capital of France?', 'Paris.')
    await at('/save kept', "Created new model 'kept'")
    await at('/save bad name', 'Usage:')
    await at('/save in/val/id/na/me', "error: The model name 'in/val/id/na/me' is invalid")
    await at('/load kept', "Loading model 'kept'")
    await at('/show system', 'Be brief.')
    await at('/show parameters', 'seed                           9')
    terminal.type('/bye\r')
    expect(await terminal.exited).toBe(0)
    const again = openTerminal('drover run kept', env)
    await again.sees('>>> What is the capital of France?')
    await again.sees('The capital of France is Paris.')
    again.type('\u0004')
    expect(await again.exited).toBe(0)
  })
})

describe('pull', () => {
  it('tells in Ollama’s words that there is no such model, and run does so too', async () => {
    const { stdout, code } = await cli('pull', '127.0.0.1:1/library/nope')
    expect({ stdout, code }).toEqual({ stdout: '', code: 1 })
    expect(await cli('pull', 'in val/id')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('invalid model name'),
    })
  })
})
