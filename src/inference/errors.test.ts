import { describe, expect, it } from 'vitest'
import { asDroverError, DroverError, type ErrorCode, errorCatalogue } from './errors.ts'

describe('an error', () => {
  it('takes its status and whether to try again from the catalogue', () => {
    for (const code of Object.keys(errorCatalogue) as ErrorCode[]) {
      const error = new DroverError(code, 'words')
      expect({ status: error.status, retry: error.retry }).toEqual(errorCatalogue[code])
    }
  })

  it('stays what it is when it is one of ours already', () => {
    const error = new DroverError('busy', 'later')
    expect(asDroverError(error)).toBe(error)
  })

  it('is a cancellation when a signal was aborted', () => {
    expect(asDroverError(AbortSignal.abort().reason)).toMatchObject({
      code: 'cancelled',
      message: 'request canceled',
    })
  })

  it('is internal, with its own words and cause, when nobody foresaw it', () => {
    const cause = new TypeError('odd')
    expect(asDroverError(cause)).toMatchObject({ code: 'internal', message: 'odd', cause })
    expect(asDroverError('plain text')).toMatchObject({ code: 'internal', message: 'plain text' })
  })
})
