import { spawn } from 'node:child_process'

/**
 * A shell in a session of its own that outlives a killed Drover for a moment. It waits on a pipe that only Drover
 * holds open; when the pipe closes, whatever the reason, it ends the engine's process group and deletes the
 * instance's files.
 */
export interface Guardian {
  /** Names the process group to end. Call it before the engine does anything. */
  watch(processGroup: number): void
  /** The engine has ended by itself: nothing is signalled any more (its number may be another's soon). */
  dismiss(): void
}

/**
 * Lines in: the group's number, then perhaps `exited`. End of input: TERM, up to 2 s of grace, KILL, delete.
 * `$@` are the paths to delete, and after a killed Drover the folder they lie in, once it is empty.
 */
const script = `
group=
while read -r word; do
  case $word in
    exited) group= ;;
    *) group=$word ;;
  esac
done
if [ -n "$group" ] && kill -TERM "-$group" 2>/dev/null; then
  tries=20
  while [ $tries -gt 0 ] && kill -0 "-$group" 2>/dev/null; do
    sleep 0.1
    tries=$((tries - 1))
  done
  kill -KILL "-$group" 2>/dev/null
fi
[ $# -eq 0 ] || rm -rf -- "$@"
if [ -n "$group" ]; then
  for path in "$@"; do rmdir -- "\${path%/*}/sessions" "\${path%/*}" 2>/dev/null; done
fi
`

/**
 * Starts a guardian that deletes `removePaths` at the end. Linux and macOS. It reacts within milliseconds of
 * Drover's end, and within about two seconds has everything gone.
 */
export function startGuardian(removePaths: readonly string[]): Guardian {
  const shell = spawn('/bin/sh', ['-c', script, 'drover-guardian', ...removePaths], {
    // A session of its own: no Ctrl-C, no hangup of Drover's terminal reaches it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  })
  const { stdin } = shell
  // Without a guardian the engine still runs; only a killed Drover would leave it behind.
  const onError = (error: Error) => process.emitWarning(`guardian of an engine process: ${error.message}`)
  shell.on('error', onError)
  stdin.on('error', onError)
  // Drover may end while guardians wait: that is what they wait for.
  shell.unref()
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  return {
    watch: (processGroup) => {
      stdin.write(`${processGroup}\n`)
    },
    dismiss: () => {
      if (!stdin.writableEnded) stdin.end('exited\n')
    },
  }
}
