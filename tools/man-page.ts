/** Writes docs/drover.1 from the commands' own definitions. */
import { writeFile } from 'node:fs/promises'
import { createProgram } from '../src/cli/index.ts'
import { manPage } from './man-page/troff.ts'

await writeFile(new URL('../docs/drover.1', import.meta.url), manPage(createProgram('drover')))
