import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { DeviceReading, Reading } from '../contract.ts'
import { eventsOf } from './kernel-log.ts'
import { nvidiaReaders } from './readers.ts'
import { knownXids } from './xid.ts'

const folder = sharedData('gpu-fixtures/nvidia')
const MiB = 1024 ** 2

/** All recorded files of some folders, by their path; nothing where the data is not here. */
function filesOf(...names: string[]): { path: string; text: string }[] {
  if (folder === undefined) return []
  const folders = names.length > 0 ? names : readdirSync(folder).filter((name) => name !== 'facts')
  return folders.flatMap((name) =>
    readdirSync(join(folder, name)).map((file) => ({
      path: `${name}/${file}`,
      text: readFileSync(join(folder, name, file), 'utf8'),
    })),
  )
}

function readingOf(text: string): Reading | undefined {
  const result = nvidiaReaders.find(({ matches }) => matches(text))?.read(text)
  return result?.ok === true ? result.reading : undefined
}

const cardsIn = (reading: Reading | undefined): DeviceReading[] =>
  reading?.devices.filter(({ kind }) => kind !== 'partition') ?? []

/** The first number of a text as it stands, or undefined where none stands first. */
function figure(text: string | undefined, factor = 1): number | undefined {
  const digits = /^\s*(-?\d+(?:\.\d+)?)/.exec(text ?? '')?.[1]
  return digits === undefined ? undefined : Number(digits) * factor
}

/** What follows each occurrence of a pattern's group, in order. */
function every(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '')
}

/** The readers that each folder's files must come to; other files of it are refused. */
const tools: Readonly<Record<string, string>> = {
  deviceQuery: 'deviceQuery',
  'nvidia-smi-L': 'nvidia-smi -L',
  'nvidia-smi-dmon': 'nvidia-smi dmon',
  'nvidia-smi-nvlink-s': 'nvidia-smi nvlink -s',
  'nvidia-smi-pmon': 'nvidia-smi pmon',
  'nvidia-smi-q': 'nvidia-smi -q',
  'nvidia-smi-q-fragments': 'nvidia-smi -q',
  'nvidia-smi-q-x': 'nvidia-smi -q -x',
  'nvidia-smi-query-accounted-apps': 'nvidia-smi --query-accounted-apps',
  'nvidia-smi-query-compute-apps': 'nvidia-smi --query-compute-apps',
  'nvidia-smi-query-gpu': 'nvidia-smi --query-gpu',
  'nvidia-smi-query-retired-pages': 'nvidia-smi --query-retired-pages',
  'nvidia-smi-table': 'nvidia-smi',
  'nvidia-smi-topo-m': 'nvidia-smi topo -m',
  'nvidia-smi-version': 'nvidia-smi --version',
  'proc-driver-nvidia-gpus': '/proc/driver/nvidia/gpus',
}

describe('recorded outputs', () => {
  it('are each read by the reader of their kind, or refused with a reason', () => {
    for (const { path, text } of filesOf()) {
      const reader = nvidiaReaders.find(({ matches }) => matches(text))
      expect(reader, path).toBeDefined()
      const result = reader?.read(text)
      if (result?.ok === false) expect(result.reason.length, path).toBeGreaterThan(20)
      else expect([path, reader?.tool]).toEqual([path, tools[path.split('/')[0] ?? ''] ?? reader?.tool])
    }
  })

  it('in XML agree with the reading, field by field', () => {
    for (const { path, text } of filesOf('nvidia-smi-q-x')) {
      const cards = cardsIn(readingOf(text))
      const blocks = text.split(/<gpu id=/).slice(1)
      expect([path, cards.length]).toEqual([path, blocks.length])
      blocks.forEach((block, at) => {
        const card = cards[at]
        const own = block.replace(/<mig_devices>[\s\S]*?<\/mig_devices>/, '')
        const tag = (name: string, inside = own): string | undefined =>
          new RegExp(`<${name}>\\s*([^<]*?)\\s*</${name}>`).exec(inside)?.[1]
        const part = (name: string): string =>
          new RegExp(`<${name}>[\\s\\S]*?</${name}>`).exec(own)?.[0] ?? ''
        const memory = part('fb_memory_usage')
        expect([path, at, card?.name, card?.uuid]).toEqual([path, at, tag('product_name'), tag('uuid')])
        expect([
          path,
          card?.memoryTotalBytes,
          card?.memoryFreeBytes,
          card?.sensors?.memoryUsedBytes,
          card?.sensors?.temperatureC,
          card?.sensors?.graphicsClockMhz,
          card?.sensors?.memoryClockMhz,
          card?.pcie?.width,
          card?.pcie?.generation,
          card?.sensors?.fanRatio,
          card?.sensors?.utilization,
          card?.sensors?.powerLimitWatts,
        ]).toEqual([
          path,
          figure(tag('total', memory), MiB),
          figure(tag('free', memory), MiB),
          figure(tag('used', memory), MiB),
          figure(tag('gpu_temp')),
          figure(tag('graphics_clock', part('clocks'))),
          figure(tag('mem_clock', part('clocks'))),
          figure(tag('current_link_width')),
          figure(tag('current_link_gen')),
          percent(tag('fan_speed')),
          percent(tag('gpu_util')),
          figure(tag('current_power_limit') ?? tag('enforced_power_limit')),
        ])
        expect([path, card?.sensors?.processes?.length ?? 0]).toEqual([
          path,
          every(part('processes'), /<pid>(\d+)</g).length,
        ])
      })
    }
  })

  it('in text agree with the reading, field by field', () => {
    for (const { path, text } of filesOf('nvidia-smi-q')) {
      const cards = cardsIn(readingOf(text))
      const line = (name: string): string[] => every(text, new RegExp(`^ +${name} +: (.*)$`, 'gm'))
      expect([path, cards.map(({ name }) => name)]).toEqual([path, line('Product Name')])
      expect([path, cards.map(({ uuid }) => uuid)]).toEqual([path, line('GPU UUID')])
      expect([path, cards.map(({ vbios }) => vbios)]).toEqual([path, line('VBIOS Version')])
      expect([path, cards.map(({ sensors }) => sensors?.temperatureC)]).toEqual([
        path,
        line('GPU Current Temp').map((value) => figure(value)),
      ])
      const used = every(text, /^ {4}FB Memory Usage\n(?:.*\n){1,2}? +Used +: (.*)$/gm)
      expect([path, cards.map(({ sensors }) => sensors?.memoryUsedBytes)]).toEqual([
        path,
        used.map((value) => figure(value, MiB)),
      ])
      const limits = every(text, /GPU Power Readings\n(?:.*\n)*? +Current Power Limit +: (.*)$/gm)
      expect([path, cards.map(({ sensors }) => sensors?.powerLimitWatts)]).toEqual([
        path,
        limits.map((value) => figure(value)),
      ])
      const pids = every(text, /^ +Process ID +: (\d+)$/gm).map(Number)
      expect([path, cards.flatMap(({ sensors }) => sensors?.processes ?? []).map(({ pid }) => pid)]).toEqual([
        path,
        pids,
      ])
    }
  })

  it('in CSV agree with the reading, field by field', () => {
    for (const { path, text } of filesOf('nvidia-smi-query-gpu')) {
      const [header = '', ...rows] = text.trim().split(/\r?\n/)
      const cards = cardsIn(readingOf(text))
      if (!header.includes('index')) {
        expect([path, cards]).toEqual([path, []])
        continue
      }
      const names = header.split(', ').map((name) => name.replace(/ \[.*/, ''))
      rows.forEach((row, at) => {
        const cell = (name: string): string | undefined => row.split(', ')[names.indexOf(name)]
        const card = cards[at]
        expect([path, card?.index, card?.name]).toEqual([path, figure(cell('index')), cell('name')])
        expect([path, card?.memoryTotalBytes, card?.sensors?.powerLimitWatts]).toEqual([
          path,
          figure(cell('memory.total'), MiB),
          figure(cell('enforced.power.limit') ?? cell('power.limit')),
        ])
        expect([
          path,
          card?.computeCapability,
          card?.sensors?.memoryTemperatureC,
          card?.sensors?.utilization,
        ]).toEqual([
          path,
          cell('compute_cap'),
          figure(cell('temperature.memory')),
          percent(cell('utilization.gpu')),
        ])
      })
    }
  })

  it('in the table agree with the list, the report and deviceQuery of the same machine', () => {
    for (const { path, text } of filesOf('nvidia-smi-table')) {
      const cards = cardsIn(readingOf(text))
      const twin = filesOf('nvidia-smi-q').find((file) => basename(file.path) === basename(path))
      const query = filesOf('deviceQuery').find((file) => basename(file.path) === basename(path))
      const rows = every(text, /^\|\s+(\d+) .*\| +[0-9A-F]+:[0-9A-F]+:[0-9A-F]+\.\d/gm)
      expect([path, cards.map(({ index }) => String(index))]).toEqual([path, rows])
      const memory = every(text, /\|\s+\d+MiB \/ +(\d+)MiB \| +(?:\d+%|N\/A)/g)
      expect([path, cards.map(({ memoryTotalBytes }) => memoryTotalBytes)]).toEqual([
        path,
        memory.map((value) => figure(value, MiB)),
      ])
      const facts = (reading: Reading | undefined) => cardsIn(reading).map(({ pciAddress }) => pciAddress)
      if (twin !== undefined)
        expect([path, facts(readingOf(twin.text))]).toEqual([path, facts(readingOf(text))])
      // CUDA numbers cards its own way.
      if (query !== undefined)
        expect([path, facts(readingOf(query.text)).sort()]).toEqual([path, facts(readingOf(text)).sort()])
    }
  })

  it('of topology agree with the matrix, cell by cell', () => {
    for (const { path, text } of filesOf('nvidia-smi-topo-m')) {
      const lines = stripVTControlCharacters(text).split('\n')
      const rows = lines
        .filter((line) => /^\s*GPU\d+\s.*\bX\b/.test(line))
        .map((line) => line.trim().split(/\s+/))
      const reading = readingOf(text)
      const count = rows.length
      const matrix = Array.from({ length: count }, (_, a) =>
        Array.from({ length: count }, (_, b) => {
          if (a === b) return 'X'
          const links = reading?.links ?? []
          const link =
            links.find((one) => one.a.index === a && one.b.index === b) ??
            links.find((one) => one.a.index === b && one.b.index === a)
          return link?.label
        }),
      )
      expect([path, matrix]).toEqual([path, rows.map((row) => row.slice(1, count + 1))])
      for (const { class: kind, label, links } of reading?.links ?? []) {
        expect([path, kind]).toEqual([path, label.startsWith('NV') ? 'nvlink' : label.toLowerCase()])
        expect(links).toBe(label.startsWith('NV') ? Number(label.slice(2)) : undefined)
      }
      expect([path, reading?.places.length ?? 0]).toEqual([path, count])
      for (const { index = 0, cpuAffinity } of reading?.places ?? []) {
        if (cpuAffinity !== undefined) expect(rows[index]).toContain(cpuAffinity)
      }
    }
  })

  it('of the kernel give an event for each Xid and SXid line', () => {
    for (const { path, text } of filesOf('kmsg-xid')) {
      const lines = text.split('\n').filter((line) => /S?Xid \(/.test(line))
      const events = eventsOf(text).filter(({ kind }) => kind === 'xid' || kind === 'sxid')
      expect([path, events.length]).toEqual([path, lines.length])
      events.forEach(({ code, pciAddress }, at) => {
        const [, address, number] = /Xid \(PCI:([0-9a-f:]+)[^)]*\): (\d+)?/.exec(lines[at] ?? '') ?? []
        expect([path, code, pciAddress?.startsWith(address ?? '-')]).toEqual([
          path,
          number && Number(number),
          true,
        ])
      })
    }
    const log = filesOf('kmsg-xid').find(({ path }) => path.includes('without-xid'))
    if (log !== undefined) {
      expect(eventsOf(log.text)).toEqual([
        { kind: 'fallen_off_bus', pciAddress: '0000:b3:00.0', text: expect.stringContaining('fallen') },
      ])
    }
  })

  it('of Xid facts name only codes that the table knows', () => {
    if (folder === undefined) return
    const { codes } = JSON.parse(readFileSync(join(folder, 'facts', 'xid-catalog.json'), 'utf8')) as {
      codes: { code: number }[]
    }
    expect(codes.map(({ code }) => code).filter((code) => !knownXids.includes(code))).toEqual([])
  })
})

function percent(text: string | undefined): number | undefined {
  const value = figure(text)
  return value === undefined ? undefined : value / 100
}
