import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A machine of its own, as far as the network goes. */
export interface TestHost {
  /** Where this machine reaches it. */
  address: string
  /** A command as it is run on it. */
  on(command: readonly string[]): string[]
  /** Bytes that this machine has sent to it; undefined where nothing counts them. */
  sentBytes(): Promise<number | undefined>
}

export interface TestHosts {
  /** `namespaces`: each has a network stack of its own; `loopback`: only addresses of their own. */
  kind: 'namespaces' | 'loopback'
  hosts: TestHost[]
  remove(): Promise<void>
}

/**
 * So many machines: network namespaces, each with a cable (veth) to this one. That takes root and `ip` (Debian's
 * iproute2); where they cannot be made, addresses of the loopback stand in for them, and the test's output says so.
 */
export async function openHosts(count: number): Promise<TestHosts> {
  const names = Array.from({ length: count }, (_, index) => `drv${process.pid % 100_000}-${index}`)
  const net = (process.pid % 200) + 20
  const remove = async () => {
    for (const name of names) await run('ip', ['netns', 'del', name]).catch(() => 'it was never made')
  }
  try {
    for (const [index, name] of names.entries()) await makeNamespace(name, `10.${net}.${index}`)
  } catch (error) {
    await remove()
    process.stderr.write(
      `No network namespaces here (${error instanceof Error ? error.message.trim() : error}): ` +
        'addresses of the loopback stand in for other machines. Run as root, with iproute2, for the real thing.\n',
    )
    return {
      kind: 'loopback',
      hosts: names.map((_, index) => loopbackHost(index)),
      remove: async () => undefined,
    }
  }
  return {
    kind: 'namespaces',
    hosts: names.map((name, index) => namespaceHost(name, `10.${net}.${index}`)),
    remove,
  }
}

const outside = (name: string) => name.replace('drv', 'o')
const inside = (name: string) => name.replace('drv', 'i')

async function makeNamespace(name: string, net: string): Promise<void> {
  const ip = (...args: string[]) => run('ip', args)
  await ip('netns', 'add', name)
  await ip('link', 'add', outside(name), 'type', 'veth', 'peer', 'name', inside(name), 'netns', name)
  await ip('addr', 'add', `${net}.1/24`, 'dev', outside(name))
  await ip('link', 'set', outside(name), 'up')
  await ip('-n', name, 'addr', 'add', `${net}.2/24`, 'dev', inside(name))
  await ip('-n', name, 'link', 'set', inside(name), 'up')
  await ip('-n', name, 'link', 'set', 'lo', 'up')
}

function namespaceHost(name: string, net: string): TestHost {
  return {
    address: `${net}.2`,
    on: (command) => ['ip', 'netns', 'exec', name, ...command],
    sentBytes: async () => {
      const { stdout } = await run('ip', ['-s', '-j', 'link', 'show', outside(name)])
      return (JSON.parse(stdout) as { stats64: { tx: { bytes: number } } }[])[0]?.stats64.tx.bytes
    },
  }
}

/** An address of its own on this machine. */
export function loopbackHost(index: number): TestHost {
  return {
    // Of this process alone: other tests run beside it.
    address: `127.${1 + ((process.pid >> 8) % 250)}.${process.pid % 256}.${index + 2}`,
    on: (command) => [...command],
    sentBytes: async () => undefined,
  }
}
