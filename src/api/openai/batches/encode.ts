import type { Batch, Page, StoredFile } from '../../../routing/index.ts'

/** A file as OpenAI shows it. */
export function fileObject({ id, bytes, createdS, expiresS, filename, purpose }: StoredFile) {
  return {
    id,
    object: 'file',
    bytes,
    created_at: createdS,
    expires_at: expiresS ?? null,
    filename,
    purpose,
    status: 'processed',
    status_details: null,
  }
}

/** A batch as OpenAI shows it: of its ends, the one it came to. */
export function batchObject(batch: Batch) {
  const { status, endedS, usage } = batch
  const endedAs = (wanted: Batch['status']) => (status === wanted ? (endedS ?? null) : null)
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    model: batch.model ?? null,
    errors: errorList(batch),
    input_file_id: batch.inputFileId,
    completion_window: `${batch.windowS / 3600}h`,
    status,
    output_file_id: batch.outputFileId ?? null,
    error_file_id: batch.errorFileId ?? null,
    created_at: batch.createdS,
    in_progress_at: batch.inProgressS ?? null,
    expires_at: batch.expiresS,
    finalizing_at: batch.finalizingS ?? null,
    completed_at: endedAs('completed'),
    failed_at: endedAs('failed'),
    expired_at: endedAs('expired'),
    cancelling_at: batch.cancellingS ?? null,
    cancelled_at: endedAs('cancelled'),
    request_counts: batch.counts,
    usage: {
      input_tokens: usage.inputTokens,
      input_tokens_details: { cached_tokens: usage.cachedTokens },
      output_tokens: usage.outputTokens,
      output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
      total_tokens: usage.inputTokens + usage.outputTokens,
    },
    metadata: batch.metadata ?? null,
  }
}

function errorList({ errors }: Batch) {
  if (errors.length === 0) return null
  const data = errors.map(({ code, message, line, param }) => ({
    code,
    message,
    param: param ?? null,
    line: line ?? null,
  }))
  return { object: 'list', data }
}

/** One page, with what a client needs to ask for the next. */
export function listObject<T>({ items, hasMore }: Page<T>, encode: (item: T) => { id: string }) {
  const data = items.map(encode)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  }
}
