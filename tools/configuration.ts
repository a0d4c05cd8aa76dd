/** Writes what docs/ has of the settings: the tables of configuration.md, and config-schema.json. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configSchema } from '../src/config/schema.ts'
import { withRows } from './configuration/page.ts'

const pathOf = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

const page = pathOf('docs/configuration.md')
writeFileSync(page, withRows(readFileSync(page, 'utf8')))
const schema = pathOf('docs/config-schema.json')
writeFileSync(schema, `${JSON.stringify(configSchema(), undefined, 2)}\n`)
execFileSync(pathOf('node_modules/.bin/biome'), ['format', '--write', schema], { stdio: 'inherit' })
