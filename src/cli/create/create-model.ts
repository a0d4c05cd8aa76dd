import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { type Modelfile, parseModelfile } from '../../models/index.ts'
import type { Client } from '../client.ts'
import { connect } from '../connect.ts'
import { createProgress, type ProgressDisplay } from '../progress/display.ts'
import { followProgress, type ProgressPart } from '../progress/follow.ts'
import type { CreateFlags } from './flags.ts'
import { modelFilesAt } from './model-files.ts'
import { uploadFiles } from './upload.ts'

/** Makes a model of a Modelfile: its files go to the server first, then the request that names them. */
export async function createModel(
  model: string,
  { file, quantize, draftQuantize }: CreateFlags,
): Promise<void> {
  const client = await connect()
  const { path, modelfile } = await readModelfile(file)
  for (const name of modelfile.deprecated) {
    process.stderr.write(`warning: parameter ${name} is deprecated\n`)
  }
  const display = createProgress()
  try {
    display.status('gathering model components')
    const body = {
      model,
      ...(await partsOf(modelfile, dirname(path), client, display)),
      ...(quantize && { quantize }),
      ...(draftQuantize && { draft_quantize: draftQuantize }),
    }
    await followProgress(client.stream<ProgressPart>('/api/create', body), display)
  } finally {
    display.stop()
  }
}

/** The Modelfile, and where it is. Without one of the usual name the folder itself is the model. */
async function readModelfile(file?: string): Promise<{ path: string; modelfile: Modelfile }> {
  const path = resolve(file || 'Modelfile')
  try {
    return { path, modelfile: parseModelfile(await readFile(path)) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (!file) return { path, modelfile: parseModelfile('FROM .\n') }
    throw new Error("specified Modelfile wasn't found", { cause: error })
  }
}

/** The request's fields, with the files that they name given to the server. */
async function partsOf(
  modelfile: Modelfile,
  folder: string,
  client: Client,
  display: ProgressDisplay,
): Promise<object> {
  const { template, system, renderer, parser, requires, parameters, licenses, messages } = modelfile
  const { from, files } = await originOf(modelfile.from, folder)
  const adapters = await existingFiles(modelfile.adapters, folder)
  const drafts = await existingFiles(modelfile.drafts, folder)
  const send = async (paths: string[]) => uploadFiles(client, paths, display)
  return {
    ...(from !== undefined && { from }),
    ...(files.length > 0 && { files: await send(files) }),
    ...(adapters.length > 0 && { adapters: await send(adapters) }),
    ...(drafts.length > 0 && { draft_files: await send(drafts) }),
    ...(template !== undefined && { template }),
    ...(system !== undefined && { system }),
    ...(renderer !== undefined && { renderer }),
    ...(parser !== undefined && { parser }),
    ...(requires !== undefined && { requires }),
    ...(Object.keys(parameters).length > 0 && { parameters }),
    ...(licenses.length > 0 && { license: licenses }),
    ...(messages.length > 0 && { messages }),
  }
}

/** What FROM names: files where there are some at that path, else a model. */
async function originOf(
  names: readonly string[],
  folder: string,
): Promise<{ from?: string; files: string[] }> {
  const origin: { from?: string; files: string[] } = { files: [] }
  for (const name of names) {
    const files = await modelFilesAt(pathOf(name, folder))
    if (files) origin.files.push(...files)
    else origin.from = name
  }
  return origin
}

async function existingFiles(names: readonly string[], folder: string): Promise<string[]> {
  const all: string[] = []
  for (const name of names) {
    const path = pathOf(name, folder)
    const files = await modelFilesAt(path)
    if (!files) throw new Error(`there is no file ${path}`)
    all.push(...files)
  }
  return all
}

/** Paths are meant from the Modelfile's folder, or from the home. */
function pathOf(name: string, folder: string): string {
  const home = /^~(?:[/\\]|$)/
  return home.test(name) ? resolve(homedir(), name.replace(home, '')) : resolve(folder, name)
}
