import { Command } from 'commander'
import { createStopper } from './stopper.ts'

interface RpcWorkerFlags {
  listen: string
  keyFile?: string
  device?: string
  memory?: string
  threads?: string
}

export function rpcWorkerCommand(): Command {
  return new Command('rpc-worker')
    .description("Lend this machine's devices to a Drover elsewhere, which lays a part of its models on them")
    .option(
      '--listen <host:port>',
      'where to listen; encrypted, for holders of the key only',
      '0.0.0.0:50052',
    )
    .option('--key-file <file>', 'the key that both machines have; written when it is not there yet')
    .option(
      '--device <names>',
      'devices as llama-server names them, commas between (default: all GPUs, else the CPU)',
    )
    .option('--memory <size>', 'most memory that it takes, as 8GiB (default: what is free)')
    .option('--threads <number>', 'threads of the CPU (default: by its cores)')
    .action(serveRpcWorker)
}

async function serveRpcWorker({ listen, keyFile, ...flags }: RpcWorkerFlags): Promise<void> {
  const stopper = createStopper(process)
  const [{ createRpcNode, ensureTunnelKey }, { readSettings }, { parseSizeBytes }, { join }] =
    await Promise.all([
      import('../engines/index.ts'),
      import('./settings.ts'),
      import('../config/index.ts'),
      import('node:path'),
    ])
  const { droverHome, enginesDir, llamaServerPath, rpcKeyFile } = readSettings().config
  const keyPath = keyFile ?? rpcKeyFile ?? join(droverHome, 'rpc.key')
  const { key, isNew } = await ensureTunnelKey(keyPath)
  const node = await createRpcNode({
    listen,
    key,
    enginesDir,
    ...(llamaServerPath !== undefined && { serverPath: llamaServerPath }),
    cacheDir: join(droverHome, 'rpc-cache'),
    ...(flags.device !== undefined && { devices: flags.device.split(',').map((name) => name.trim()) }),
    ...(flags.memory !== undefined && { memoryBytes: sizeOf(flags.memory, parseSizeBytes) }),
    ...(flags.threads !== undefined && { threads: countOf(flags.threads) }),
    log: (message) => process.stderr.write(`${message}\n`),
  })
  const { engineVersion, protocol, devices, memoryBytes } = node.worker
  const limit = memoryBytes === undefined ? '' : `, ${gib(memoryBytes)} of it at most`
  process.stdout.write(
    [
      ...(isNew
        ? [`A new key was written to ${keyPath}: copy it to the other machine (scp), and show it to nobody.`]
        : []),
      ...devices.map(
        ({ name, description, totalBytes }) => `${name}  ${description}  ${gib(totalBytes)}${limit}`,
      ),
      `Lending on ${node.address} (llama.cpp ${engineVersion}, RPC ${protocol}). On the other machine:`,
      `  DROVER_RPC_WORKERS=HOST:${node.address.split(':').at(-1)} DROVER_RPC_KEY_FILE=FILE drover serve`,
      '',
    ].join('\n'),
  )
  await new Promise<void>((resolve) => stopper.whenAsked(() => resolve()))
  await node.close()
  stopper.release()
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`

function sizeOf(text: string, parse: (text: string) => number | undefined): number {
  const bytes = parse(text.trim())
  if (!bytes) throw new Error(`"${text}" is no size: write one as 8GiB or 500MB`)
  return bytes
}

function countOf(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new Error(`"${text}" is no number of threads`)
  return count
}
