/**
 * Stands for the programs of vLLM, SGLang and TabbyAPI, none of which runs without their cards: it takes their command
 * lines, prints lines as they do, and answers by the routes that Drover asks. What it does besides follows from the
 * model's name: `oom`, `broken`, `silent`, `slow`, `dies`.
 *
 * Usage: node replay-program.ts vllm|vllm-with-events|python|tabby ARGUMENTS
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename } from 'node:path'
import { publishEvents } from './kv-events.ts'

const [personality = '', ...args] = process.argv.slice(2)
const line = args.join(' ')
const promptTokens = [5, 6, 7, 8]
const withEvents = personality === 'vllm-with-events'

if (line === '--version')
  print(`INFO 11-21 13:00:00 [__init__.py:216] detected platform\n${withEvents ? '0.21.0' : '0.11.0'}`)
else if (line.startsWith('serve --help'))
  print(
    `  --runner {auto,pooling}\n  --enable-prefix-caching, --no-enable-prefix-caching${withEvents ? '\n  --kv-events-config' : ''}`,
  )
else if (line.startsWith('-c ')) print(versionAsked(line))
else if (line.endsWith('--help')) print('  --enable-metrics\n  --incremental-streaming-output')
else serve()

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function versionAsked(question: string): string {
  if (question.includes('"sglang"')) return '0.5.5'
  return question.includes('"exllamav3"') && personality === 'tabby' ? '0.0.12' : ''
}

function flag(name: string): string {
  return args[args.indexOf(name) + 1] ?? ''
}

function serve(): void {
  const settings = personality === 'tabby' ? tabbySettings() : undefined
  const model = settings
    ? ''
    : basename(personality.startsWith('vllm') ? (args[1] ?? '') : flag('--model-path'))
  const port = settings?.network.port ?? Number(flag('--port'))
  print('(EngineCore_DP0 pid=7) INFO Starting to load model ...')
  if (model === 'oom')
    fail('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has ...')
  if (model === 'broken') fail("ValueError: Model architectures ['Unknown'] are not supported for now.")
  if (model === 'silent') return void setInterval(() => undefined, 60_000)
  print('(Worker_TP0 pid=9) INFO Model loading took 7.5000 GiB and 3.2 seconds')
  print('(Worker_TP0 pid=9) INFO Available KV cache memory: 10.50 GiB')
  if (model === 'slow') {
    let shard = 0
    const timer = setInterval(() => {
      print(`Loading safetensors checkpoint shards: ${++shard}/8`)
      if (shard < 8) return
      clearInterval(timer)
      listen(port)
    }, 250)
  } else listen(port)
}

interface TabbySettings {
  network: { port: number }
  model: { model_dir: string }
}

function tabbySettings(): TabbySettings {
  return JSON.parse(readFileSync(flag('--config'), 'utf8')) as TabbySettings
}

function fail(reason: string): never {
  process.stderr.write(
    `Traceback (most recent call last):\n  File "engine.py", line 1, in <module>\n${reason}\n`,
  )
  process.exit(1)
}

/** A cache that stores a prompt and evicts it, over and over. */
async function churnCache(): Promise<void> {
  const { endpoint } = JSON.parse(flag('--kv-events-config')) as { endpoint: string }
  const events = await publishEvents(endpoint)
  await events.subscribed()
  setInterval(async () => {
    await events.publish([['BlockStored', [7n], null, promptTokens, promptTokens.length]])
    await events.publish([['BlockRemoved', [7n]]])
  }, 5)
}

function listen(port: number): void {
  if (withEvents) void churnCache()
  let loaded: string | undefined
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
    const json = (value: unknown, status = 200) => response.writeHead(status).end(JSON.stringify(value))
    const events = (all: readonly unknown[]) =>
      response.end(
        [...all.map((event) => JSON.stringify(event)), '[DONE]'].map((data) => `data: ${data}\n\n`).join(''),
      )
    const key = process.env['VLLM_API_KEY']
    if (
      request.url?.startsWith('/v1') &&
      key !== undefined &&
      request.headers.authorization !== `Bearer ${key}`
    ) {
      return json({ error: 'Unauthorized' }, 401)
    }
    const finish = { finish_reason: 'stop', stop_reason: null }
    const usage = { prompt_tokens: 3, completion_tokens: 2 }
    switch (request.url) {
      case '/health':
        return response.end()
      case '/tokenize':
        return json({ tokens: [5] })
      case '/v1/token/encode':
        return json({ tokens: [5] })
      case '/v1/model':
        return loaded === undefined ? json({ detail: 'none' }, 503) : json({ id: loaded })
      case '/v1/model/load':
        loaded = String(body['name'])
        return events([
          { module: 1, modules: 1, status: 'processing' },
          { module: 1, modules: 1, status: 'finished' },
        ])
      case '/v1/model/unload':
        loaded = undefined
        return json(null)
      case '/generate':
        return events([
          {
            text: 'sglang',
            output_ids: [5, 2],
            meta_info: { completion_tokens: 2, finish_reason: { type: 'stop' } },
          },
        ])
      case '/v1/completions': {
        if (String(body['prompt']).includes('die')) process.exit(139)
        // What it was started with is its answer.
        const said = JSON.stringify({ args, cwd: process.cwd(), loaded, env: shownEnvironment() })
        const choice = { text: said, token_ids: [5, 2], prompt_token_ids: promptTokens, ...finish }
        return events([{ choices: [choice] }, { choices: [], usage }])
      }
      default:
        return json({ detail: 'Not Found' }, 404)
    }
  })
  server.listen(port, '127.0.0.1', () => print('INFO:     Application startup complete.'))
}

function shownEnvironment(): Record<string, string | undefined> {
  const names = [
    'CUDA_VISIBLE_DEVICES',
    'CUDA_DEVICE_ORDER',
    'VLLM_PP_LAYER_PARTITION',
    'DROVER_HOME',
    'TMPDIR',
  ]
  return Object.fromEntries(names.map((name) => [name, process.env[name]]))
}
