/** The flags of `create`. */
export interface CreateFlags {
  file?: string
  quantize?: string
  draftQuantize?: string
}
