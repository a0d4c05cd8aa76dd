import type { HostSystem, ProgramResult } from '../contract.ts'
import { type NvidiaProblem, problemOf } from './problems.ts'

const limitMs = 2000

/** Under WSL the tool is not always on the PATH. */
const wslTool = '/usr/lib/wsl/lib/nvidia-smi'

/** Runs nvidia-smi for at most two seconds. */
export async function smi(system: HostSystem, args: readonly string[]): Promise<ProgramResult> {
  const result = await system.run('nvidia-smi', args, limitMs)
  if (result.outcome !== 'missing' || system.realPath(wslTool) === undefined) return result
  return system.run(wslTool, args, limitMs)
}

/** What kept nvidia-smi from answering; undefined where it answered. */
export function failureOf(result: ProgramResult): NvidiaProblem | undefined {
  const { outcome, stdout, stderr, exitCode } = result
  if (outcome === 'ok') return undefined
  if (outcome === 'timeout') {
    return {
      kind: 'other',
      text:
        `nvidia-smi did not answer within ${limitMs / 1000} s. Turn persistence on (sudo nvidia-smi -pm 1, or the service ` +
        "nvidia-persistenced), so that the driver stays loaded; if it is on, look in the kernel's log (dmesg | grep NVRM) " +
        'for a card that hangs.',
    }
  }
  const known = problemOf(`${stderr}\n${stdout}`) ?? problemOfExit(exitCode)
  const words = (stderr.trim() || stdout.trim()).split('\n')[0]?.slice(0, 200) ?? ''
  return (
    known ?? {
      kind: 'other',
      text: `nvidia-smi failed${exitCode === undefined ? '' : ` (exit code ${exitCode})`}: ${words}`,
    }
  )
}

/** Exit codes of nvidia-smi, from its manual, for when it says nothing. */
function problemOfExit(exitCode: number | undefined): NvidiaProblem | undefined {
  switch (exitCode) {
    case 4:
      return problemOf('Insufficient Permissions')
    case 6:
      return problemOf('No devices were found')
    case 9:
      return problemOf('driver is not loaded')
    case 12:
      return problemOf('NVML shared library not found')
    default:
      return undefined
  }
}
