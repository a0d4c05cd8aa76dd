import { describe, expect, it } from 'vitest'
import { createProgressPrinter } from './engine.ts'

function print(isTTY: boolean) {
  let text = ''
  const printer = createProgressPrinter({
    isTTY,
    write: (part: string) => {
      text += part
    },
  })
  printer.print({ phase: 'download', message: 'fetching', percent: 1.2 })
  printer.print({ phase: 'download', message: 'fetching', percent: 1.9 })
  printer.print({ phase: 'download', message: 'fetching', percent: 50 })
  printer.print({ phase: 'check', message: 'checking' })
  printer.end()
  return text
}

describe('the progress of an installation', () => {
  it('is one line that changes on a terminal', () => {
    expect(print(true)).toBe('\rfetching 1%\u001b[K\rfetching 50%\u001b[K\rchecking\u001b[K\n')
  })

  it('is a line for each message elsewhere', () => {
    expect(print(false)).toBe('fetching\nchecking\n')
  })
})
