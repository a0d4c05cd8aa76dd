import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientUrl, formatHost, parseHost } from './host.ts'

describe('parseHost', () => {
  it.each([
    ['127.0.0.1:11434', 'http://127.0.0.1:11434'],
    ['0.0.0.0', 'http://0.0.0.0:11434'],
    ['example.com', 'http://example.com:11434'],
    ['example.com:1234', 'http://example.com:1234'],
    ['http://example.com', 'http://example.com:80'],
    ['https://example.com', 'https://example.com:443'],
    ['https://example.com:1234/ollama/', 'https://example.com:1234/ollama'],
    ['example.com/ollama', 'http://example.com:11434/ollama'],
    ['ollama.com', 'https://ollama.com:443'],
    [':8080', 'http://0.0.0.0:8080'],
    ['::1', 'http://[::1]:11434'],
    ['[::1]', 'http://[::1]:11434'],
    ['[::1]:1337', 'http://[::1]:1337'],
    ['http://[fe80::1]', 'http://[fe80::1]:80'],
    ['host:0', 'http://host:0'],
    ['', 'http://127.0.0.1:11434'],
    ['http://', 'http://127.0.0.1:80'],
  ])('reads "%s" as %s', (text, url) => {
    const host = parseHost(text)
    expect(formatHost(host)).toBe(url)
    expect(host.badPort).toBeUndefined()
  })

  it.each([
    ['host:66000', '66000', 11434],
    ['host:-1', '-1', 11434],
    ['host:abc', 'abc', 11434],
    ['host:', '', 11434],
    ['https://host:abc', 'abc', 443],
    ['http://[::1]:x', 'x', 80],
  ])('takes the default port for "%s" and names the bad one', (text, badPort, port) => {
    expect(parseHost(text)).toMatchObject({ badPort, port })
  })

  it('reads back whatever it wrote', () => {
    const host = fc.record({
      scheme: fc.constantFrom('http', 'https'),
      address: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
      port: fc.integer({ min: 0, max: 65_535 }),
      path: fc.constantFrom('', '/a', '/a/b'),
    })
    fc.assert(
      fc.property(host, (one) => {
        expect(parseHost(formatHost(one))).toEqual(one)
      }),
    )
  })
})

it('reaches a server that listens everywhere by loopback', () => {
  expect(clientUrl(parseHost('0.0.0.0:1'))).toBe('http://127.0.0.1:1')
  expect(clientUrl(parseHost('[::]:1'))).toBe('http://[::1]:1')
  expect(clientUrl(parseHost('https://gpu.example/drover'))).toBe('https://gpu.example:443/drover')
})
