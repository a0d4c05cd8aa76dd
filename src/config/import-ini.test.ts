import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { editedFile } from './edit.ts'
import { importIni } from './import-ini.ts'
import { loadConfig } from './load.ts'

const ini = `; a balancer of another make
[Server]
host = 0.0.0.0:8080
workers = 4

[load_balancer]
strategy = least_connections   ; fewest first
Max-Queue-Size = 100

[HealthCheck]
interval = 10
timeout = 2.5
max_failures: 4

[gpu-box]
url = http://10.0.0.5:11434/
queue_size = 5
[other box]
url = "http://10.0.0.6:11434"
[logging]
level = WARNING
[cache]
enabled = yes
ttl = 60
[misc]
colour = blue
strategy = by_moon
just a line
`

describe('an INI of load-balancing settings', () => {
  const { settings, left } = importIni(ini)

  it("becomes Drover's settings", () => {
    expect(Object.fromEntries(settings.map(({ key, value }) => [key, value]))).toEqual({
      host: '0.0.0.0:8080',
      policy: 'least_loaded',
      maxQueue: 100,
      healthInterval: '10s',
      healthTimeout: '2.5s',
      unhealthyAfter: 4,
      logLevel: 'warn',
      responseCacheSize: '64MiB',
      responseCacheTtl: '60s',
      engine: 'ollama',
      ollamaUrls: ['http://10.0.0.5:11434', 'http://10.0.0.6:11434'],
    })
  })

  it('that the program takes', () => {
    const text = editedFile('', settings)
    const { config } = loadConfig({
      env: {},
      flags: {},
      homeDir: '/',
      cwd: '/',
      readFile: (path) => (path.endsWith('drover.yaml') ? text : undefined),
    })
    expect(config).toMatchObject({ maxQueue: 100, healthIntervalMs: 10_000, policy: 'least_loaded' })
  })

  it('writes numbers, switches and durations as YAML has them, and text that looks like a number as text', () => {
    const { settings } = importIni(
      'hedge = yes\nkeep_alive = -1\nnum_ctx = "8192"\nload_timeout = 90\nmax_memory = 8GiB\nbind = 8080\n' +
        'migration_threshold = 0.25\n[cache]\nenabled = no',
    )
    expect(editedFile('', settings).split('\n')).toEqual([
      'hedge: true',
      'keepAlive: -1',
      'contextLength: 8192',
      'loadTimeout: 90s',
      'memoryLimit: 8GiB',
      'host: "8080"',
      'multi_gpu:',
      '  scheduling:',
      '    migration:',
      '      threshold: 0.25',
      'responseCacheSize: 0',
      '',
    ])
  })

  it('tells of every line that it has no place for', () => {
    expect(left.map(({ line, name, why }) => [line, name, why])).toEqual([
      [4, 'server.workers', 'Drover serves all requests in one process'],
      [17, 'gpu_box.queue_size', 'requests are queued once for all servers: set maxQueue'],
      [26, 'misc.colour', 'Drover has no such setting'],
      [27, 'misc.strategy', 'this value has no counterpart'],
      [28, 'just a line', 'it is no "key = value"'],
    ])
  })

  it('never loses a line, whichever is said again', () => {
    const word = fc.stringMatching(/^[a-z_]{1,12}$/)
    const key = fc.oneof(word, fc.constantFrom('strategy', 'algorithm', 'max_queue', 'weight', 'log_level'))
    const value = fc.oneof(word, fc.constantFrom('round_robin', 'least_conn', 'debug', '7'))
    fc.assert(
      fc.property(fc.array(fc.tuple(word, key, value), { maxLength: 8 }), (rows) => {
        const text = rows.map(([section, name, what]) => `[${section}]\n${name} = ${what}`).join('\n')
        const read = importIni(text)
        expect(read.settings.length + read.left.length).toBe(rows.length)
      }),
    )
  })
})
