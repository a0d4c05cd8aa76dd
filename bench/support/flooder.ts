/**
 * The tenant that floods: whoever was answered or refused asks again, when it is told to. It runs in a process of its own and behind all others on the machine's cores, as it would be on
 * another machine: what it costs to ask is not what is measured.
 */
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'

interface Flood {
  origin: string
  model: string
  requests: number
}

const flood = JSON.parse(process.argv[2] ?? '') as Flood
const dispatcher = new Agent({ connections: flood.requests, headersTimeout: 0, bodyTimeout: 0 })
const statuses: Record<string, number> = {}
const over = new AbortController()

setPriority(19)
process.on('message', () => over.abort())
await Promise.all(Array.from({ length: flood.requests }, (_, index) => ask(index)))
if (!over.signal.aborted) await new Promise((resolve) => over.signal.addEventListener('abort', resolve))
process.send?.(statuses, () => process.exit(0))

async function ask(index: number): Promise<void> {
  const { origin, model } = flood
  const options = { num_predict: 8 }
  const body = JSON.stringify({ model, prompt: `${index}`, raw: true, stream: false, options })
  await sleep(index / 10)
  while (!over.signal.aborted) {
    try {
      const answer = await request(`${origin}/api/generate`, {
        method: 'POST',
        headers: { 'x-drover-tenant': 'flood' },
        body,
        dispatcher,
        signal: over.signal,
      })
      await answer.body.dump()
      statuses[answer.statusCode] = (statuses[answer.statusCode] ?? 0) + 1
      await sleep(Number(answer.headers['retry-after'] ?? 1) * 1000, undefined, { signal: over.signal })
    } catch (error) {
      if (!over.signal.aborted) throw error
    }
  }
}
