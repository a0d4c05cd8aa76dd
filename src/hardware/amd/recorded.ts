/** Parts of sysfs that were recorded as JSON: read as a live machine would be. */
import type { OutputReader, PlaceReading } from '../contract.ts'
import type { SysfsFiles } from '../pci/path.ts'
import { recordedSysfs } from '../pci/sysfs-record.ts'
import { readingOf, refused } from '../reading.ts'
import { kfdFolder, readKfdLinks, readKfdNodes } from './kfd.ts'
import { findCards, placeOf, readCard } from './sysfs.ts'

/** `{"root": "/sys/class/kfd/kfd/topology", "files": {"nodes/0/properties": ...}}`; undefined for other text. */
export function recordedKfd(text: string): SysfsFiles | undefined {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json !== 'object' || json === null || !('files' in json)) return undefined
    const { files } = json
    if (typeof files !== 'object' || files === null) return undefined
    const entries = Object.entries(files).map(([path, entry]) => [
      path.startsWith('nodes/') ? `${kfdFolder}/${path}` : path,
      entry,
    ])
    return recordedSysfs(JSON.stringify({ files: Object.fromEntries(entries) }))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

export const recordedKfdReader: OutputReader = {
  tool: 'kfd topology (recorded)',
  matches: (text) =>
    /^\s*\{/.test(text) &&
    /"(root|nodes\/\d+\/|[^"]*kfd\/topology\/nodes\/)/.test(text.slice(0, 4000)) &&
    /nodes\/\d+\/properties"/.test(text),
  read(text) {
    const files = recordedKfd(text)
    if (files === undefined) return refused('no JSON of the form {"root": …, "files": {path: text}}')
    const nodes = readKfdNodes(files)
    if (nodes.length === 0) return refused('KFD has no GPU: only processors are among its nodes')
    const devices = nodes.map(({ reading }) => reading)
    return readingOf('kfd', { devices, links: readKfdLinks(files, nodes) })
  },
}

export const recordedSysfsReader: OutputReader = {
  tool: 'sysfs (recorded)',
  matches: (text) =>
    /^\s*\{/.test(text) && /sys\/class\/drm\/card\d+\/device\/vendor"\s*:\s*"0x1002/i.test(text),
  read(text) {
    const files = recordedSysfs(text)
    if (files === undefined) return refused('no JSON of the form {"files": {path: text}}')
    const cards = findCards(files)
    if (cards.length === 0) return refused("none of AMD's cards is in it")
    const places = cards.flatMap((card): PlaceReading[] => {
      const place = placeOf(files, card)
      return place ? [place] : []
    })
    return readingOf('sysfs', { devices: cards.map((card) => readCard(files, card)), places })
  },
}
