/** A template that cannot be read or executed; `message` is the text Go's `text/template` gives for it. */
export class TemplateError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'TemplateError'
  }
}
