/** A log that is being followed. */
export interface Following {
  close(): void
}

/** Called with each new line, and once when no more can come and why; not after `close`. */
export interface LineSink {
  line(text: string): void
  end(reason: string): void
}
