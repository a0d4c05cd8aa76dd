import { describe, expect, it } from 'vitest'
import { formatEngines } from './engine-format.ts'
import {
  formatBytes,
  formatDuration,
  formatGoDuration,
  formatMoment,
  formatProcessor,
  formatTable,
} from './format.ts'

it('sets tables as Ollama does: left-aligned, four spaces after each cell, no borders', () => {
  expect(
    formatTable(
      ['NAME', 'SIZE'],
      [
        ['drover:latest', '5 MB'],
        ['a', ''],
      ],
    ),
  ).toBe('NAME             SIZE    \ndrover:latest    5 MB    \na                        \n')
  expect(formatTable(['NAME', 'SIZE'], [])).toBe('NAME    SIZE    \n')
})

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 KB'],
  [1_040_000_000, '1.0 GB'],
  [4_661_211_424, '4.7 GB'],
  [137_000_000, '137 MB'],
  [5_150_000, '5.2 MB'],
  [3e12, '3 TB'],
  [5e15, '5000 TB'],
])('prints %d bytes as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

it.each([
  [10, 'Less than a second'],
  [1500, '1 second'],
  [30_000, '30 seconds'],
  [90_000, 'About a minute'],
  [5 * minute - 1, '4 minutes'],
  [hour, 'About an hour'],
  [5 * hour, '5 hours'],
  [3 * day, '3 days'],
  [21 * day, '3 weeks'],
  [90 * day, '3 months'],
  [800 * day, '2 years'],
])('says %d ms as "%s"', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

it.each([
  [0, '0s'],
  [342_546_000, '342.546ms'],
  [1_334_875, '1.334875ms'],
  [4_883_583_458, '4.883583458s'],
  [62_500_000_000, '1m2.5s'],
  [3_600_000_000_000, '1h0m0s'],
  [500, '500ns'],
  [1500, '1.5µs'],
])('prints %d ns as Go does: %s', (ns, text) => {
  expect(formatGoDuration(ns)).toBe(text)
})

it('says when something was or will be', () => {
  expect(formatMoment(1e12 - 2 * day, 1e12)).toBe('2 days ago')
  expect(formatMoment(1e12 + 4.5 * minute, 1e12)).toBe('4 minutes from now')
  expect(formatMoment(Number.NaN, 1e12)).toBe('Never')
  expect(formatMoment(1e12 + 300 * 365 * day, 1e12)).toBe('Forever')
})

it.each([
  [100, 0, '100% CPU'],
  [100, 100, '100% GPU'],
  [100, 52, '48%/52% CPU/GPU'],
  [100, 101, 'Unknown'],
  [0, 1, 'Unknown'],
])('says that %d bytes with %d in VRAM are %s', (sizeBytes, vramBytes, text) => {
  expect(formatProcessor(sizeBytes, vramBytes)).toBe(text)
})

describe('the list of engines', () => {
  it('shows what is there, its devices, and what to do about what is not', () => {
    const device = { name: 'CUDA0', description: 'NVIDIA H200', totalBytes: 150e9, freeBytes: 100e9 }
    const text = formatEngines([
      { name: 'llama.cpp', available: false, reason: 'no llama-server: run "drover engine install"' },
      { name: 'embedded', available: true, version: '3.22.1', path: '/x', devices: [device], source: 'npm' },
    ])
    expect(text.split('\n').map((line) => line.trimEnd())).toEqual([
      'NAME         VERSION     PATH',
      'llama.cpp    not here',
      'embedded     3.22.1      /x (npm)',
      '',
      'llama.cpp: no llama-server: run "drover engine install"',
      'embedded: CUDA0 NVIDIA H200, 100 GB of 150 GB free',
      '',
    ])
  })
})
