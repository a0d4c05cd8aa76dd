import { isIP } from 'node:net'

/** Where the server listens, and where clients find it. */
export interface HostAddress {
  scheme: 'http' | 'https'
  /** An IP address or a name, without brackets. */
  address: string
  /** 0 takes any free port. */
  port: number
  /** What stands before every route for clients behind a proxy: `` or `/prefix`. */
  path: string
}

const defaultPort = 11434

/**
 * Reads `[scheme://]host[:port][/path]` by Ollama's rules: without a scheme the port is 11434, with one it is the
 * scheme's; a bare `ollama.com` means HTTPS. An unusable port is answered with the default and named in `badPort`.
 */
export function parseHost(text: string): HostAddress & { badPort?: string } {
  const [before, after] = cut(text, '://')
  const bareOllama = text === 'ollama.com'
  const scheme = bareOllama || (after !== undefined && before === 'https') ? 'https' : 'http'
  const schemePort = scheme === 'https' ? 443 : after === undefined ? defaultPort : 80
  const [hostPort, path] = cut(after ?? text, '/')
  const { address, port } = splitHostPort(hostPort)
  const host = { scheme, address, path: path ? `/${path.replace(/\/+$/, '')}` : '' } as const
  if (port === undefined) return { ...host, port: schemePort }
  const number = /^\d+$/.test(port) ? Number(port) : Number.NaN
  return number <= 65_535 ? { ...host, port: number } : { ...host, port: schemePort, badPort: port }
}

/** `:8080` listens everywhere, as in Go; nothing at all means this machine only. */
function splitHostPort(hostPort: string): { address: string; port?: string } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(hostPort)
  if (bracketed) {
    const [, address = '', port] = bracketed
    return { address, ...(port !== undefined && { port }) }
  }
  if (hostPort === '') return { address: '127.0.0.1' }
  if (isIP(hostPort) === 6) return { address: hostPort }
  const [address, port] = cut(hostPort, ':')
  return { address: address || '0.0.0.0', ...(port !== undefined && { port }) }
}

function cut(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)]
}

/** The address as text, with every part that may be left out. */
export function formatHost({ scheme, address, port, path }: HostAddress): string {
  return `${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}${path}`
}

/** The URL by which a client on this machine reaches the address: a wildcard address is reached by loopback. */
export function clientUrl(host: HostAddress): string {
  const loopback: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  return formatHost({ ...host, address: loopback[host.address] ?? host.address })
}
