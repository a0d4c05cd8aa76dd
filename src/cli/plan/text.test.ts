import { describe, expect, it } from 'vitest'
import type { EngineCommand } from '../../engines/index.ts'
import { findFamous, type PlanReport, parseGpuList, planModel } from '../../placement/index.ts'
import { planText, refusalText } from './text.ts'

const options = { width: 80, color: false }

function reportFor(gpus: string, commands: readonly EngineCommand[] = []): PlanReport {
  const model = findFamous('llama3.1:70b')
  if (!model) throw new Error('the model is well-known')
  const inventory = parseGpuList(gpus)
  const { name, format, fileType, shape } = model
  const { parameterCount, weightBytes } = shape
  return {
    ...planModel(model, inventory, { contextLength: 8192, slots: 1 }),
    subject: { name, format, fileType, parameterCount, weightBytes },
    inventory,
    commands: commands.length > 0 ? [{ instance: 0, count: 1, commands }] : [],
  }
}

function textOf(report: PlanReport): string {
  if (!report.ok) throw new Error(report.message)
  return planText(report, options)
}

describe('the text of a plan', () => {
  it('has picture, speed, reasons and what was not taken, within 80 columns', () => {
    const text = textOf(reportFor('2x3090'))
    expect(text).toMatch(/^llama3\.1:70b \(Q4_K_M\): pipeline over 2 devices by llama\.cpp\n/)
    expect(text).toMatch(
      /\nExpected: [\d.]+ tokens\/s for one stream, .*\n.*after [\d.]+ m?s\), up to 700 W\n/,
    )
    expect(text).toMatch(/\nWhy:\n {2}- [^\n]+\n/)
    expect(text).toMatch(/\nNot taken:\n {2}- /)
    expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80)
  })

  it('has commands that a shell takes as they are', () => {
    const argv = ['llama-server', '--model', "/it's here/m.gguf", '-np', '1', '--flag', '--json', '{"a": 1}']
    const text = textOf(
      reportFor('2x3090', [
        { env: { A: 'b c' }, argv },
        { node: 'box', env: {}, argv: ['x'] },
      ]),
    )
    expect(text).toContain(
      `  A='b c' llama-server --model '/it'\\''s here/m.gguf' -np 1 --flag \\\n      --json '{"a": 1}'\n`,
    )
    expect(text).toContain('  # on box\n  x\n')
  })

  it('says of several machines where each command runs', () => {
    expect(textOf(reportFor('2x3090 / 3060', [{ env: {}, argv: ['x'] }]))).toContain('  # on node1\n  x\n')
  })

  it('says what is missing where nothing fits', () => {
    const report = reportFor('3060,cpu:8')
    if (report.ok) throw new Error('it fits')
    expect(refusalText(report)).toMatch(
      /^Error: model "llama3\.1:70b" needs [\d.]+ GiB and buffers, .*\n\nWhat would help:\n {2}- .*\n\nNot taken:\n {2}- single on RTX 3060: /s,
    )
  })
})
