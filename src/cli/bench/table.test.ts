import { describe, expect, it } from 'vitest'
import type { MeasuredDevice } from './measure-devices.ts'
import { benchTable } from './table.ts'

const nowMs = Date.parse('2026-03-04T05:06:07Z')
const device: MeasuredDevice = {
  label: 'GPU0',
  deviceId: 'GPU-1',
  deviceName: 'NVIDIA GeForce RTX 3090',
  driverVersion: '580.1',
  engine: 'llama.cpp',
  engineVersion: 'b7000',
  modelBytes: 464e6,
  prefillTokensPerSecond: 9123.4,
  decodeTokensPerSecond: 1512.6,
  decodeParallelTokensPerSecond: 8000,
  parallelStreams: 8,
  bandwidthGBs: 702.1,
  loadMs: 812,
  spread: { prefill: 0.014, decode: 0, decodeParallel: 0.126 },
  measuredAt: '2026-03-04T05:06:05Z',
  cached: false,
  ofTable: 0.7501,
}

const cellsOf = (line: string | undefined) => line?.trim().split(/ {4,}/)

describe('the table of a benchmark', () => {
  it('has a row a device, its rates with their spread, and its bandwidth as a share of the table', () => {
    const [titles, row] = benchTable({ devices: [device], failures: [], notes: [] }, nowMs).split('\n')
    expect(cellsOf(titles)).toEqual([
      'DEVICE',
      'NAME',
      'PREFILL',
      'DECODE',
      'DECODE x8',
      'BANDWIDTH',
      'OF TABLE',
      'LOAD',
      'MEASURED',
    ])
    expect(cellsOf(row)).toEqual([
      'GPU0',
      'NVIDIA GeForce RTX 3090',
      '9123 ±1%',
      '1513 ±0%',
      '8000 ±13%',
      '702 GB/s',
      '75%',
      '0.81 s',
      'now',
    ])
  })

  it('says of what was measured before that it is cached, and of what since when', () => {
    const { ofTable: _, ...unknown } = device
    const before = { ...unknown, cached: true, bandwidthGBs: 9.876, measuredAt: '2026-03-02T05:06:07Z' }
    const row = benchTable({ devices: [before], failures: [], notes: [] }, nowMs).split('\n')[1]
    expect(cellsOf(row)).toEqual(expect.arrayContaining(['9.88 GB/s', '-', 'cached, 2 days ago']))
  })

  it('says what could not be measured, and what to know, below; without devices only that', () => {
    const notes = ['the server had models loaded']
    const failures = ['GPU1: it has no memory left']
    expect(benchTable({ devices: [device], failures, notes }, nowMs)).toMatch(
      /\n\ntokens\/s through llama\.cpp b7000\n! GPU1: it has no memory left\nthe server had models loaded\n$/,
    )
    expect(benchTable({ devices: [], failures, notes: [] }, nowMs)).toBe('! GPU1: it has no memory left\n')
  })
})
