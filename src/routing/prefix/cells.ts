/** Four-byte words of a cell: 128 bytes, for 14 blocks. The longer the run, the fewer places a prompt touches. */
export const cellWords = 32
const cellBytes = 4 * cellWords
/** Eight-byte floats of a cell. */
export const cellFloats = cellWords / 2

/** What hash tables take for each cell: `tableLength` heads of chains in each of two tables. */
const tableBytesPerCell = 4

/**
 * The one block of memory that everything of an index lies in, cut into equal cells: whatever is freed fits whatever
 * comes next, so the budget is a limit and not an estimate. The operating system gives the memory as it is first
 * written to. Cell 0 is nobody's: 0 stands for none.
 */
export interface Cells {
  /** Word `f` of cell `c` lies at `c * cellWords + f`. */
  readonly words: Int32Array
  /** The same memory: float `f` of cell `c` lies at `c * cellFloats + f`. */
  readonly floats: Float64Array
  /** How long each of the two hash tables has to be. */
  readonly tableLength: number
  /** A cell with any content; only where `free()` is not 0. */
  take(): number
  give(cell: number): void
  free(): number
  /** What has been written to so far, hash tables included. */
  bytes(): number
}

/** @throws RangeError for a budget that is too small for anything, or larger than cells can be counted. */
export function createCells(budgetBytes: number): Cells {
  const count = Math.floor(budgetBytes / (cellBytes + tableBytesPerCell))
  if (!(count >= 16 && count < 2 ** 25))
    throw new RangeError(`a prefix index cannot keep to ${budgetBytes} bytes; give it from 2 kB to 4 GB`)
  const memory = new ArrayBuffer(count * cellBytes)
  const words = new Int32Array(memory)
  const tableLength = Math.floor(count / 2)
  let unused = 1
  let given = 0
  let firstGiven = 0

  return {
    words,
    floats: new Float64Array(memory),
    tableLength,
    take() {
      if (firstGiven === 0) return unused++
      const cell = firstGiven
      firstGiven = words[cell * cellWords] as number
      given--
      return cell
    },
    give(cell) {
      words[cell * cellWords] = firstGiven
      firstGiven = cell
      given++
    },
    free: () => count - unused + given,
    bytes: () => unused * cellBytes + 2 * tableLength * 4,
  }
}
