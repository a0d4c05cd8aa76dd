import type { Row } from '../row.ts'
import { answers } from './answers.ts'
import { dialects } from './dialects.ts'
import { errors } from './errors.ts'
import { store } from './store.ts'
import { surface } from './surface.ts'

/** Every row, in the order in which they run: those of the store change it. */
export const rows: readonly Row[] = [...surface, ...errors, ...answers, ...dialects, ...store]
