/** One parameter of a declared tool. */
export interface Parameter {
  readonly type: 'string' | 'integer' | 'number'
  readonly description: string
  readonly enum?: readonly string[]
}

/** A tool as the chat APIs declare it. */
export interface Tool {
  readonly name: string
  readonly description: string
  readonly properties: Readonly<Record<string, Parameter>>
  readonly required: readonly string[]
}
