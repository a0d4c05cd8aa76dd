/**
 * Works on batches in a folder until it is killed: `batch-churn.ts FOLDER FILE` begins one for the file where there is
 * none yet, and says how far it is, as JSON, each time something has changed.
 */
import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/core/index.ts'
import { createBatches, defaultBatchLimits } from '../../src/routing/index.ts'
import { quietLog } from './quiet-log.ts'

const [folder = '', input = ''] = process.argv.slice(2)
const tenant = 'default'
const batches = createBatches({
  folder,
  limits: { ...defaultBatchLimits, reserveBytes: 0 },
  freeSlots: () => 8,
  clock: systemClock,
  log: quietLog,
})
const [known] = (await batches.list(tenant, { limit: 1 })).items
let batch = known ?? (await begin())
batches.run(async () => {
  await sleep(1)
  return { status: 200, body: '{}' }
})
for (let last = ''; ; await sleep(1)) {
  batch = await batches.batch(tenant, batch.id)
  const { status, counts } = batch
  const path = batch.outputFileId && (await batches.contentPath(tenant, batch.outputFileId))
  const news = JSON.stringify({ status, completed: counts.completed, path })
  if (news !== last) console.log(news)
  last = news
  if (batch.endedS !== undefined) break
}
await batches.close()

async function begin() {
  const wish = () => ({ filename: 'in.jsonl', expiresAfterS: 86_400 })
  const file = await batches.addFile(tenant, createReadStream(input), wish)
  return batches.create(tenant, { inputFileId: file.id, endpoint: '/v1/embeddings', windowS: 86_400 })
}
