import { XMLParser } from 'fast-xml-parser'
import type { OutputReader, ReadResult } from '../contract.ts'
import { refused } from '../reading.ts'
import { type Entry, keyOf } from './cells.ts'
import { readReport } from './report.ts'

const tool = 'nvidia-smi -q -x'

/** Values stay text (`00` is a bus, not 0), and entities of a DOCTYPE are never expanded: it is cut off before. */
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
})

/** `nvidia-smi -q -x` (document types 9 to 13, drivers 375 to 610). */
export const xmlReader: OutputReader = {
  tool,
  matches: (text) => text.includes('<nvidia_smi_log'),
  read: readXml,
}

function readXml(text: string): ReadResult {
  const start = text.indexOf('<nvidia_smi_log')
  if (start < 0) return refused(`${tool}: there is no <nvidia_smi_log> in it`)
  // The clocks that a card supports are most of the text, and of no use here.
  const xml = text.slice(start).replace(/<supported_clocks>[\s\S]*?<\/supported_clocks>/g, '')
  let document: unknown
  try {
    document = parser.parse(xml)
  } catch (error) {
    return refused(
      `${tool}: it is not well formed: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  const root = entriesOf(document).find(({ key }) => key === 'nvidia_smi_log')
  if (root === undefined) return refused(`${tool}: there is no <nvidia_smi_log> in it`)
  const isGpu = ({ key }: Entry): boolean => key === 'gpu'
  return readReport(
    tool,
    root.children.filter((entry) => !isGpu(entry)),
    root.children.filter(isGpu).map((gpu) => ({ ...gpu, value: idOf(gpu) })),
    text,
  )
}

function idOf(gpu: Entry): string {
  return gpu.children.find(({ key }) => key === 'id')?.value ?? ''
}

/** The parser's objects as entries: an array is one entry for each of its elements. */
function entriesOf(value: unknown): Entry[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, child]) =>
    (Array.isArray(child) ? (child as unknown[]) : [child]).map((item) => ({
      key: keyOf(name),
      value: typeof item === 'string' ? item : '',
      children: entriesOf(item),
    })),
  )
}
