import type { OutputReader } from '../contract.ts'
import { metaxReader } from './metax.ts'
import { nvtopReader } from './nvtop.ts'

/** Readers of tools that belong to no one vendor, or to a vendor whose cards Drover does not use. */
export const otherReaders: readonly OutputReader[] = [metaxReader, nvtopReader]
