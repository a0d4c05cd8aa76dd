import { readdir, readFile } from 'node:fs/promises'

/**
 * What a group of processes has done so far, as one text: the same as long as none of them computes or touches new
 * memory. Linux; elsewhere always the same. Starts and ends of processes are something done.
 */
export async function groupActivity(processGroup: number): Promise<string> {
  if (process.platform !== 'linux') return ''
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const stats = await Promise.all(ids.map(statOf))
  return stats
    .filter((fields) => Number(fields[groupField]) === processGroup)
    .map((fields) => doneFields.map((index) => fields[index]).join(' '))
    .join(', ')
}

/** Fields of `/proc/PID/stat` behind the name in brackets (`proc_pid_stat(5)`, counted from the state as 0). */
const groupField = 2
/** Minor and major page faults, user and system time. */
const doneFields = [7, 9, 11, 12]

async function statOf(id: string): Promise<string[]> {
  try {
    const stat = await readFile(`/proc/${id}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    // It has just ended.
    return []
  }
}
