import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { createProgram } from '../src/cli/index.ts'
import { manPage } from './man-page/troff.ts'

const path = fileURLToPath(new URL('../docs/drover.1', import.meta.url))

it('the manual page is what the commands say (node tools/man-page.ts writes it)', () => {
  expect(readFileSync(path, 'utf8')).toBe(manPage(createProgram('drover')))
})

it('the manual page names every command', () => {
  const page = manPage(createProgram('drover'))
  for (const { name } of createProgram('drover').commands.map((command) => ({ name: command.name() }))) {
    expect(page).toContain(`\\fBdrover ${name.replaceAll('-', '\\-')}\\fR`)
  }
})

it('the manual page is without fault for troff, where there is one', () => {
  const check = `! command -v groff >/dev/null || groff -man -Tutf8 -ww -z '${path}' 2>&1`
  expect(execFileSync('sh', ['-c', check], { encoding: 'utf8' })).toBe('')
})
