/** A value at a moment; undefined where it was not told. */
export interface RingPoint {
  atMs: number
  value: number | undefined
}

/** The last so many rows of numbers, in fixed memory. */
export interface Ring<F extends string> {
  /** How many rows it holds now. */
  readonly length: number
  /** Adds a row, in place of the oldest where it is full. Allocates nothing. A value that is no finite number is absent. */
  push(atMs: number, row: Readonly<Partial<Record<F, number>>>): void
  /** The newest value of a field; undefined where the newest row lacks it, or there is none. */
  latest(field: F): number | undefined
  /** The values of a field since `sinceMs`, the oldest first. */
  points(field: F, sinceMs: number): RingPoint[]
}

/**
 * A ring buffer of `capacity` rows with a column of 64-bit numbers for the time and each field: 8 bytes a value. NaN
 * stands for an absent value inside and never leaves it.
 */
export function createRing<F extends string>(fields: readonly F[], capacity: number): Ring<F> {
  if (!Number.isInteger(capacity) || capacity < 1) {
    throw new RangeError(`a ring holds a whole number of rows from 1 on, not ${capacity}`)
  }
  const times = new Float64Array(capacity)
  const columns = fields.map(() => new Float64Array(capacity).fill(Number.NaN))
  let length = 0
  let next = 0

  const columnOf = (field: F): Float64Array => {
    const column = columns[fields.indexOf(field)]
    if (!column) throw new RangeError(`a ring of ${fields.join(', ')} has no field "${field}"`)
    return column
  }
  const read = (column: Float64Array, row: number): number | undefined => {
    const value = column[row]
    return value === undefined || Number.isNaN(value) ? undefined : value
  }

  return {
    get length() {
      return length
    },
    push(atMs, row) {
      times[next] = atMs
      for (let index = 0; index < fields.length; index++) {
        const field = fields[index]
        const column = columns[index]
        if (field === undefined || column === undefined) continue
        const value = row[field]
        column[next] = value !== undefined && Number.isFinite(value) ? value : Number.NaN
      }
      next = (next + 1) % capacity
      if (length < capacity) length++
    },
    latest(field) {
      return length === 0 ? undefined : read(columnOf(field), (next + capacity - 1) % capacity)
    },
    points(field, sinceMs) {
      const column = columnOf(field)
      const found: RingPoint[] = []
      for (let age = length; age >= 1; age--) {
        const row = (next + capacity - age) % capacity
        const atMs = times[row] ?? 0
        if (atMs >= sinceMs) found.push({ atMs, value: read(column, row) })
      }
      return found
    },
  }
}
