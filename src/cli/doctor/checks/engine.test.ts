import { describe, expect, it } from 'vitest'
import type { ListedEngine } from '../../engine-probes.ts'
import { card, codesOf, config, cpuDevice, engines, findingOf, machine } from '../testing.ts'

const server = (changes: Partial<ListedEngine> = {}): ListedEngine => ({
  name: 'llama.cpp',
  available: true,
  version: '0.7.0',
  path: '/usr/bin/llama-server',
  devices: [],
  ...changes,
})
const embedded: ListedEngine = {
  name: 'embedded',
  available: true,
  version: 'b1',
  path: '/opt/e',
  devices: [],
}
const seesCuda = [{ name: 'CUDA0', description: 'NVIDIA GeForce RTX 3090', totalBytes: 1, freeBytes: 1 }]
const seesVulkan = [
  { name: 'Vulkan0', description: 'AMD Radeon RX 6800 (RADV NAVI21)', totalBytes: 1, freeBytes: 1 },
]
const radeon = card({
  id: 'pci:0000:03:00.0',
  vendor: 'amd',
  name: 'AMD Radeon RX 6800',
  pciAddress: '0000:03:00.0',
})

describe('an engine that does not see a card', () => {
  const blind = (listed: ListedEngine[], devices = [card(), cpuDevice()]) =>
    machine({ devices, engines: engines({ listed, servers: ['/usr/bin/llama-server'] }) })

  it('is an error where no card is left, and names what it was built without', () => {
    const found = findingOf(blind([server(), embedded]), 'engine_without_backend')
    expect(found).toMatchObject({
      level: 'error',
      title: 'The engine llama.cpp does not compute on GPU0 (NVIDIA GeForce RTX 3090)',
      command:
        'drover engine install --reinstall\nexport DROVER_LLAMA_SERVER=/home/ada/.drover/engines/llama.cpp/bin/llama-server',
    })
    expect(found.detail).toMatch(/lists no GPU.*without CUDA/)
    expect(found.advice).toContain('GGML_CUDA')
  })

  it('is a warning where it computes on another card', () => {
    const facts = blind([server({ devices: seesCuda }), embedded], [card(), radeon, cpuDevice()])
    const found = findingOf(facts, 'engine_without_backend')
    expect(found).toMatchObject({ level: 'warning', title: expect.stringContaining('AMD Radeon RX 6800') })
    expect(found.detail).toContain('lists CUDA0')
    expect(found.advice).toContain('mesa-vulkan-drivers')
  })

  it('sees a card of another maker through Vulkan', () => {
    expect(codesOf(blind([server({ devices: [...seesCuda, ...seesVulkan] })], [card(), radeon]))).toEqual([])
  })

  it('is replaced by one that sees it, where there is one', () => {
    const facts = blind([server(), { ...embedded, devices: seesCuda }])
    expect(findingOf(facts, 'engine_without_backend').command).toBe('DROVER_ENGINE=embedded drover serve')
  })

  it("is installed anew where it is Drover's own", () => {
    const path = '/home/ada/.drover/engines/llama.cpp/bin/llama-server'
    const found = findingOf(blind([server({ path })]), 'engine_without_backend')
    expect(found.command).toBe('drover engine install --reinstall')
  })

  it('need not see graphics that belong to the processor', () => {
    const uhd = card({ id: 'uhd', vendor: 'intel', kind: 'integrated', name: 'Intel UHD Graphics 630' })
    expect(codesOf(blind([server({ devices: seesCuda })], [card(), uhd]))).toEqual([])
  })
})

describe('engines that are missing', () => {
  it('llama-server is recommended where the embedded engine computes on the card', () => {
    const facts = machine({
      engines: engines({
        listed: [server({ available: false, reason: 'none' }), { ...embedded, devices: seesCuda }],
        servers: [],
      }),
    })
    expect(codesOf(facts)).toEqual(['no_llama_server'])
    expect(findingOf(facts, 'no_llama_server').command).toBe('drover engine install')
  })

  it('the embedded engine without the card wants one installed', () => {
    const facts = machine({
      engines: engines({ listed: [server({ available: false, reason: 'none' }), embedded], servers: [] }),
    })
    expect(findingOf(facts, 'engine_without_backend')).toMatchObject({
      level: 'error',
      command: 'drover engine install --reinstall',
    })
  })

  it('all of them missing is an error with the reasons', () => {
    const facts = machine({
      engines: engines({
        listed: [server({ available: false, reason: 'no llama-server on the PATH' })],
        servers: [],
      }),
    })
    expect(findingOf(facts, 'no_engine')).toMatchObject({
      level: 'error',
      detail: 'llama.cpp: no llama-server on the PATH',
    })
  })

  it('a llama-server that does not run is told, with what it said', () => {
    const facts = machine({
      devices: [cpuDevice()],
      engines: engines({
        listed: [
          server({ available: false, reason: '/usr/bin/llama-server: --version failed: no libggml.' }),
          embedded,
        ],
      }),
    })
    expect(findingOf(facts, 'engine_broken')).toMatchObject({
      level: 'warning',
      detail: expect.stringContaining('no libggml'),
    })
  })
})

it('several llama-servers are told, with the one that is used', () => {
  const facts = machine({ engines: engines({ servers: ['/usr/bin/llama-server', '/opt/bin/llama-server'] }) })
  expect(findingOf(facts, 'several_engines')).toMatchObject({
    level: 'note',
    detail: '/usr/bin/llama-server (0.7.0) is used; not used: /opt/bin/llama-server.',
  })
})

describe('Ollama as the engine', () => {
  const withOllama = (ollamaUrls: string[], look: Parameters<typeof engines>[0]) =>
    machine({
      config: { config: config({ engine: 'ollama', ollamaUrls }), warnings: [] },
      engines: engines(look),
    })

  it('wants its program', () => {
    expect(findingOf(withOllama([], {}), 'no_engine').title).toContain('there is no ollama')
    expect(codesOf(withOllama([], { ollamaProgram: '/usr/local/bin/ollama' }))).toEqual([])
  })

  it('wants the servers that are attached', () => {
    const urls = ['http://a:11434', 'http://b:11434']
    const attached = urls.map((url) => ({ url, answers: url.includes('a:') }))
    const found = findingOf(withOllama(urls, { attached }), 'ollama_unreachable')
    expect(found).toMatchObject({ level: 'warning', title: 'No Ollama answers at http://b:11434' })
    const none = attached.map(({ url }) => ({ url, answers: false }))
    expect(findingOf(withOllama(urls, { attached: none }), 'ollama_unreachable').level).toBe('error')
    expect(codesOf(withOllama(urls, { attached: urls.map((url) => ({ url, answers: true })) }))).toEqual([])
  })
})
