import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The editor to use where nobody has said which. */
const defaultEditor = process.platform === 'win32' ? 'edit' : 'vi'

/** Lets a person write a text in an editor of theirs. Throws when the editor is not there or fails. */
export async function editExternally(text: string, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const editor = env.OLLAMA_EDITOR || env.VISUAL || env.EDITOR || defaultEditor
  const [command = defaultEditor, ...args] = editor.trim().split(/\s+/)
  const folder = await mkdtemp(join(tmpdir(), 'drover-prompt-'))
  const file = join(folder, 'prompt.txt')
  try {
    await writeFile(file, text)
    await runEditor(command, [...args, file])
    return (await readFile(file, 'utf8')).replace(/\n+$/, '')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function runEditor(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    child.once('error', (error: NodeJS.ErrnoException) => {
      const missing = `editor ${JSON.stringify(command)} not found, set OLLAMA_EDITOR to the path of your preferred editor`
      reject(error.code === 'ENOENT' ? new Error(missing, { cause: error }) : error)
    })
    child.once('exit', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`editor exited with error: ${signal ?? `exit status ${code}`}`))
    })
  })
}
