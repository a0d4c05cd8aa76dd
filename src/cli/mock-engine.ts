import { Command, Option } from 'commander'
import type { MockEngineFlags } from './mock-engine/options.ts'
import { createStopper } from './stopper.ts'

export function mockEngineCommand(): Command {
  const count = (flags: string, description: string) =>
    new Option(`${flags} <number>`, description).argParser(numberOf)
  return new Command('mock-engine')
    .description(
      "An engine with modelled answers and times, for load tests: llama-server's, OpenAI's and Ollama's API",
    )
    .option('--host <host>', 'where to listen (default: 127.0.0.1)')
    .addOption(count('--port', 'the port; 0 takes a free one (default: 8080)'))
    .option('--model <name...>', 'names that it answers to (default: mock)')
    .addOption(count('--slots', 'requests at once; more wait (default: 4)'))
    .addOption(count('--prefill', 'prompt tokens a second (default: 2000)'))
    .addOption(count('--decode-ms', 'milliseconds of a decoding step (default: 20)'))
    .addOption(
      count('--decode-per-request-ms', 'milliseconds more for each request in the step (default: 0.5)'),
    )
    .addOption(count('--kv-tokens', 'tokens that the KV cache holds (default: the context of every slot)'))
    .addOption(count('--block', 'tokens of a block of the KV cache (default: 16)'))
    .addOption(count('--chunk', 'prompt tokens of one step (default: 512)'))
    .addOption(count('--load-ms', 'milliseconds of a load; 503 until then (default: 0)'))
    .addOption(count('--context', 'tokens of prompt and answer together (default: 8192)'))
    .addOption(
      count('--answer-tokens', 'tokens of an answer that nothing else ends, on average (default: 200)'),
    )
    .addOption(count('--embedding-dimensions', 'numbers of an embedding (default: 768)'))
    .addOption(count('--speed', 'how many times faster than real time (default: 1)'))
    .option('--device <card>', 'work the times out for this card, as "RTX 4090"; needs --params')
    .addOption(count('--params', 'parameters of the model, as 8e9; with --device'))
    .addOption(count('--weight-bits', 'bits of a weight; with --device (default: 4.5)'))
    .addOption(count('--kv-bytes', 'bytes of KV cache a token; with --device (default: by the parameters)'))
    .option('--slot-save-path <folder>', "where slots are saved, as llama-server's flag of that name")
    .action(mockEngine)
}

/** Serves until a signal, or the fault `crash`, ends it. */
async function mockEngine({ host, port = 8080, ...flags }: MockEngineFlags): Promise<void> {
  const stopper = createStopper(process)
  const [{ createMockEngine }, { engineOptions }] = await Promise.all([
    import('../simulation/index.ts'),
    import('./mock-engine/options.ts'),
  ])
  const engine = createMockEngine({
    ...engineOptions(flags),
    // As a process ends by abort(): 128 and the signal's number.
    onCrash: () => process.exit(134),
  })
  const { url } = await engine.listen({ port, ...(host !== undefined && { host }) })
  process.stdout.write(
    `The mock engine is ready on ${url}: its times and answers are modelled\n` +
      `Faults: curl ${url}/mock/faults -d '{"fault":"error_503","share":0.1}'\n` +
      `What it did: curl ${url}/mock/stats\n`,
  )
  await new Promise<void>((resolve) => stopper.whenAsked(() => resolve()))
  await engine.close()
  stopper.release()
}

function numberOf(text: string): number {
  const number = Number(text)
  if (text.trim() === '' || Number.isNaN(number)) throw new Error(`"${text}" is no number`)
  return number
}
