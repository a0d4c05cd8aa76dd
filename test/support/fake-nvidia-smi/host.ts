import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { FakeCard } from './cards.ts'
import { appsTable, gpuTable } from './fields.ts'
import { cardsAt, kernelLinesAt } from './story.ts'
import { listText, nvlinkText, topologyText } from './tables.ts'
import { queryXml } from './xml.ts'

/** A host of eight cards that exists as answers of `nvidia-smi` and lines of a kernel log. */
export interface FakeHost {
  /** The folder with the program, to be put first on PATH. */
  bin: string
  /** A file that stands in for `/dev/kmsg`. */
  kernelLog: string
  /** From now on the program tells of these cards. Programs that run at the moment see one state, not half of two. */
  show(cards: readonly FakeCard[]): void
  /** Goes on to a second of the story, with the kernel's lines since the last one. */
  at(second: number): void
  /** From now on the program hangs, or answers again. */
  hang(hangs: boolean): void
}

/** Builds the host in a folder of the test, which removes it. */
export function createFakeHost(folder: string): FakeHost {
  const bin = join(folder, 'bin')
  const kernelLog = join(folder, 'kernel.log')
  mkdirSync(bin, { recursive: true })
  for (const name of ['nvidia-smi', 'query.awk'])
    copyFileSync(join(import.meta.dirname, name), join(bin, name))
  chmodSync(join(bin, 'nvidia-smi'), 0o755)
  writeFileSync(kernelLog, '')
  let shown: readonly FakeCard[] = []
  let hangs = false
  let version = 0
  let second = -1

  /** A new folder for each state, and a link that leads to it and moves at once. */
  const write = () => {
    const target = join(folder, `state-${++version}`)
    mkdirSync(target)
    for (const [name, text] of Object.entries(filesOf(shown, hangs))) writeFileSync(join(target, name), text)
    symlinkSync(target, join(folder, 'next'))
    renameSync(join(folder, 'next'), join(folder, 'state'))
    // A program that started before the move may still read the last one.
    rmSync(join(folder, `state-${version - 2}`), { recursive: true, force: true })
  }
  const show = (cards: readonly FakeCard[]) => {
    shown = cards
    write()
  }
  show(cardsAt(0))

  return {
    bin,
    kernelLog,
    show,
    at(next) {
      while (second < next) {
        second++
        for (const line of kernelLinesAt(second)) appendFileSync(kernelLog, `${line}\n`)
      }
      show(cardsAt(next))
    },
    hang(now) {
      hangs = now
      write()
    },
  }
}

function filesOf(cards: readonly FakeCard[], hangs: boolean): Record<string, string> {
  return {
    'gpu.tsv': gpuTable(cards),
    'apps.tsv': appsTable(cards),
    'list.txt': listText(cards),
    'query.xml': queryXml(cards),
    'topology.txt': topologyText(cards),
    'nvlink.txt': nvlinkText(cards),
    // As NVML_ERROR_UNKNOWN does, where a card does not answer.
    'exit-code': cards.some(({ gone }) => gone !== undefined) ? '255' : '0',
    ...(hangs && { hang: '' }),
  }
}
