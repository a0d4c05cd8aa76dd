import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSettings } from '../settings.ts'
import type { UnitFile, UnitPlan } from './unit-files.ts'

/** Whom services run as: the named user, else who called, by way of sudo too; never root unless it is named. */
export function accountOf(named: string | undefined): { name: string; homeDir: string; exists: boolean } {
  const caller = process.env['SUDO_USER'] ?? userInfo().username
  const name = named ?? (caller === 'root' ? 'drover' : caller)
  const homeDir = homeOf(name)
  return { name, homeDir: homeDir ?? `/var/lib/${name}`, exists: homeDir !== undefined }
}

function homeOf(name: string): string | undefined {
  const entry = lines('/etc/passwd').find((line) => line.startsWith(`${name}:`))
  const listed = entry?.split(':')[5]
  // Users of a directory service are in no file.
  return listed ?? (name === userInfo().username ? homedir() : undefined)
}

/** The caller's own store as it is configured, else the usual place in the user's home. */
export function modelsDirOf(user: string, homeDir: string): string {
  return user === userInfo().username ? readSettings().config.modelsDir : join(homeDir, '.ollama/models')
}

/** Paths of what is run, and the groups that open GPUs and the kernel's messages in the journal. */
export function programsAndGroups(): Pick<
  UnitPlan,
  'nodePath' | 'droverPath' | 'ollamaPath' | 'groups' | 'nvidiaModprobePath'
> {
  const ollamaPath = onPath('ollama')
  const nvidiaModprobePath = onPath('nvidia-modprobe')
  const groups = lines('/etc/group').map((line) => line.split(':')[0] ?? '')
  return {
    nodePath: process.execPath,
    droverPath: fileURLToPath(new URL('../../../bin/drover.js', import.meta.url)),
    groups: ['render', 'video', 'systemd-journal'].filter((name) => groups.includes(name)),
    ...(ollamaPath !== undefined && { ollamaPath }),
    ...(nvidiaModprobePath !== undefined && { nvidiaModprobePath }),
  }
}

function onPath(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)
  return folders.map((folder) => resolve(folder, program)).find((path) => existsSync(path))
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    // A system without this file names its users and groups elsewhere.
    return []
  }
}

export async function writeFiles(folder: string, files: readonly UnitFile[]): Promise<void> {
  for (const { path, text } of files) {
    const file = join(folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
}
