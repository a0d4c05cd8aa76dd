import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { Link, Reading } from '../contract.ts'
import { nvidiaReaders } from '../nvidia/index.ts'
import { buildTopology } from './build.ts'
import * as machines from './machines.fixture.ts'
import { drawText } from './text.ts'

const drawn = ({ devices, links }: machines.Machine) => drawText(buildTopology(devices, links))
const widthOf = (text: string) => Math.max(...text.split('\n').map((line) => line.length))

/** The matrix of a drawing as rows of labels, without rates. */
function matrixOf(text: string): string[][] {
  const rows = text.split('\n\n')[0]?.split('\n').slice(1) ?? []
  return rows.map((row) => row.match(/(?<=^|\s)([A-Z?][A-Z0-9?]*)(?=\s|$)/g)?.slice(1) ?? [])
}

describe('a topology as text', () => {
  it('shows classes, rates and NUMA nodes as a matrix', () => {
    const text = drawn(machines.bridgedPairs())
    expect(text.split('\n').slice(0, 3)).toEqual([
      '      GPU0    GPU1    GPU2    GPU3    CPU0    CPU1    NUMA',
      'GPU0  X       NV4 56  SYS 20  SYS 20  PHB 25  SYS 20  0',
      'GPU1  NV4 56  X       SYS 20  SYS 20  PHB 25  SYS 20  0',
    ])
    expect(text).toContain('NVLink B: GPU2 GPU3 (NV4, 56 GB/s)')
  })

  it('shows devices under their NUMA nodes, with lanes that are missing', () => {
    const text = drawn(machines.workstation())
    expect(text).toMatch(
      /NUMA node 0\n├─ CPU0 .*16 cores\n├─ GPU0 .*24 GiB +PCIe 4\.0 x16\n└─ GPU1 .*PCIe 4\.0 x4 of x16 \(!\)\n/,
    )
    expect(drawn(machines.sixteen())).toMatch(/GPU9 .*\[lost\]/)
    expect(drawn(machines.unified())).toMatch(/Apple M3 Max +64 GiB +unified memory/)
  })

  it('shows partitions under their card only', () => {
    const text = drawn(machines.partitioned())
    expect(text).toMatch(/GPU0 .*3 x MIG 2g\.20gb/)
    expect(matrixOf(text)).toHaveLength(3)
    expect(text).not.toContain('BOARD')
  })

  it('tells how far a bridge that is not alike for all goes', () => {
    expect(drawn(machines.cubeMesh())).toContain('(NV1 to NV2, 25 to 50 GB/s, not all joined)')
    expect(drawn(machines.switched())).toContain('(NV18 each, 450 GB/s)')
  })

  it('marks rates that are not estimated', () => {
    const { devices, links } = machines.workstation()
    const measured = links.map((link): Link => ({ ...link, gbPerSecond: { value: 5.62, from: 'measured' } }))
    const text = drawText(buildTopology(devices, measured))
    expect(text).toContain('PHB 5.6*')
    expect(text).toContain('* told by the driver or measured')
  })

  it('fits 120 columns for eight cards with two CPUs', () => {
    for (const machine of [machines.switched(), machines.cubeMesh()])
      expect(widthOf(drawn(machine))).toBeLessThanOrEqual(120)
    expect(widthOf(drawn(machines.sixteen()))).toBeLessThanOrEqual(200)
  })

  it('keeps names from moving the cursor', () => {
    const name = 'card\n\u001b[31mred\u0007'
    const text = drawn({ devices: [machines.gpu(0, name, 8)], links: [] })
    expect([...text].filter((letter) => letter !== '\n' && letter < ' ')).toEqual([])
    expect(text).toContain('card [31mred')
  })

  it('of nothing says that there is nothing', () => {
    expect(drawn({ devices: [], links: [] })).toBe('No devices.\n')
  })
})

/** A machine of the size that a tool's matrix tells of. */
function machineOf({ links, places }: Reading): machines.Machine {
  const devices = places.map(({ numaNode }, at) =>
    machines.gpu(at, 'GPU', 80, numaNode === undefined ? {} : { numaNode }),
  )
  const idOf = (end: { index?: number }) => devices[end.index ?? -1]?.id ?? ''
  return {
    devices,
    links: links.map(({ a, b, ...rest }) => ({
      a: idOf(a),
      b: idOf(b),
      class: rest.class,
      label: rest.label,
    })),
  }
}

/** The cells between cards in a matrix of `nvidia-smi topo -m`. */
function recordedCells(text: string): string[][] {
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
  const cards = rows.filter(([head = '', first = '']) => /^GPU\d+$/.test(head) && !/^GPU/.test(first))
  return cards.map((row) => row.slice(1, cards.length + 1))
}

const ownMatrix = [
  '\tGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\tNUMA Affinity',
  'GPU0\t X \tNV4\tSYS\tPIX\t0-7\t0',
  'GPU1\tNV4\t X \tNODE\tPHB\t0-7\t0',
  'GPU2\tSYS\tNODE\t X \tSYS\t8-15\t1',
  'NIC0\tPIX\tPHB\tSYS\t X ',
].join('\n')

const folder = sharedData('gpu-fixtures/nvidia/nvidia-smi-topo-m')
const recorded = folder ? readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')) : []

describe('recorded outputs', () => {
  it('are drawn with the classes of their own matrix, cell by cell', () => {
    const matrices = [ownMatrix, ...recorded].filter((text) => recordedCells(text).length > 1)
    expect(matrices.length).toBeGreaterThanOrEqual(folder ? 9 : 1)
    for (const text of matrices) {
      const result = nvidiaReaders.find((reader) => reader.matches(text))?.read(text)
      if (!result?.ok) throw new Error(`not read: ${result?.reason ?? text}`)
      expect(matrixOf(drawn(machineOf(result.reading)))).toEqual(recordedCells(text))
    }
  })
})
