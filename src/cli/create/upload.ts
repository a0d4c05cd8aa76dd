import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Client } from '../client.ts'
import type { ProgressDisplay } from '../progress/display.ts'

/** Gives the server files that it has not yet. Resolves to their digests by their names, as `/api/create` takes them. */
export async function uploadFiles(
  client: Client,
  paths: readonly string[],
  display: ProgressDisplay,
): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const path of paths) digests[basename(path)] = await upload(client, path, display)
  return digests
}

async function upload(client: Client, path: string, display: ProgressDisplay): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  const digest = `sha256:${hash.digest('hex')}`
  if (await client.hasBlob(digest)) return digest
  const { size } = await stat(path)
  const content = createReadStream(path)
  const told = (percent: number) => `copying file ${digest} ${percent}%`
  display.status(told(0))
  content.on('data', () => display.update(told(Math.floor((content.bytesRead / Math.max(1, size)) * 100))))
  await client.putBlob(digest, content)
  display.update(told(100))
  return digest
}
