/** The flags of `launch`. */
export interface LaunchFlags {
  model?: string
  config?: boolean
  restore?: boolean
  yes?: boolean
  json?: boolean
}
