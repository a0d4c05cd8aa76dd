import { BlockList, isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'

const localNetworks = new BlockList()
localNetworks.addSubnet('127.0.0.0', 8, 'ipv4')
localNetworks.addSubnet('10.0.0.0', 8, 'ipv4')
localNetworks.addSubnet('172.16.0.0', 12, 'ipv4')
localNetworks.addSubnet('192.168.0.0', 16, 'ipv4')
localNetworks.addAddress('0.0.0.0', 'ipv4')
localNetworks.addAddress('::1', 'ipv6')
localNetworks.addAddress('::', 'ipv6')
localNetworks.addSubnet('fc00::', 7, 'ipv6')

const localSuffixes = ['.localhost', '.local', '.internal']

/** Whether a server that listens on `listenHost` can only be reached from this machine. */
export function isLoopback(listenHost: string): boolean {
  const host = listenHost.replace(/^\[|\]$/g, '').toLowerCase()
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/**
 * Whether a `Host` header names this machine: the guard against DNS rebinding, where a web page's own name is made
 * to point at a loopback address. Same rules as Ollama.
 */
export function isLocalHost(hostHeader: string): boolean {
  const host = withoutPort(hostHeader)
  const family = isIP(host)
  if (family !== 0) return localNetworks.check(host, family === 6 ? 'ipv6' : 'ipv4') || isOwnAddress(host)
  const name = host.toLowerCase()
  if (name === '' || name === 'localhost' || name === hostname().toLowerCase()) return true
  return localSuffixes.some((suffix) => name.endsWith(suffix))
}

function withoutPort(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host)
  if (bracketed?.[1] !== undefined) return bracketed[1]
  return host.indexOf(':') === host.lastIndexOf(':') ? host.replace(/:\d*$/, '') : host
}

function isOwnAddress(address: string): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === address))
}
