/** The configuration as it is, and what became of the file's last change. */
export interface ConfigurationReport {
  /** The file, where there is one. */
  file?: string
  /** When it was last read and taken. */
  readAt: string
  settings: readonly {
    key: string
    /** As it was written, or the default. */
    value?: unknown
    /** `default`, or the flag, the variable, or the file and its key. */
    from: string
    live: boolean
  }[]
  /** What the file says otherwise than the server runs with, until it is started anew. */
  restart: readonly { key: string; running?: unknown; written?: unknown }[]
  /** The file as it is now cannot be used: what ran goes on. */
  refused?: { at: string; problems: readonly string[] }
}

/** What runs a server. */
export interface Configuration {
  report(): ConfigurationReport
  /**
   * Writes settings into the file and takes them; one that is undefined or null is taken out. Throws `invalid_request`,
   * with nothing changed, for what cannot be, and where a flag or a variable says otherwise.
   */
  change(settings: readonly { key: string; value?: unknown }[]): ConfigurationReport
}
