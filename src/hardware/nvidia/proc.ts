import type { DeviceReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present, textOf } from '../units.ts'
import { kindOf, uuidOf, versionOf } from './card.ts'
import { flagOf } from './cells.ts'

const tool = '/proc/driver/nvidia/gpus'
const line =
  /^(?:(\/\S*?):)?\s*(Model|IRQ|GPU UUID|Video BIOS|Bus Type|Bus Location|Device Minor|GPU Firmware|GPU Excluded|Blacklisted|DMA Size|DMA Mask):\s*(.*?)\s*$/i

/**
 * `/proc/driver/nvidia/gpus/<address>/information`, one file or several one after another, also as grep prints them
 * with the path in front. The device minor is not nvidia-smi's number of the card, so that there is no `index`.
 */
export const procReader: OutputReader = {
  tool,
  matches: (text) =>
    text
      .split('\n', 40)
      .some((part) => /(Device Minor|GPU UUID|Bus Location):/i.test(part) && line.test(part)),
  read(text) {
    const cards = new Map<string, Map<string, string>>()
    let current: Map<string, string> | undefined
    for (const part of text.split(/\r?\n/)) {
      const [, path, name, value = ''] = line.exec(part) ?? []
      if (name === undefined) continue
      const address = pciAddressOf(path)
      if (address !== undefined) {
        current = cards.get(address) ?? new Map([['bus location', address]])
        cards.set(address, current)
      } else if (current === undefined || current.has(name.toLowerCase())) {
        // A name that stands there already begins the next card.
        current = new Map()
        cards.set(`card ${cards.size}`, current)
      }
      current.set(name.toLowerCase(), value)
    }
    return cards.size === 0
      ? refused(`${tool}: no card is described in it`)
      : readingOf(tool, { devices: [...cards.values()].map(cardOf) })
  },
}

function cardOf(facts: ReadonlyMap<string, string>): DeviceReading {
  const model = facts.get('model')
  const name = model === undefined || /^unknown$/i.test(model) ? undefined : textOf(model)
  const vbios = facts.get('video bios')
  const excluded = flagOf(facts.get('gpu excluded') ?? facts.get('blacklisted')) === true
  return present({
    vendor: 'nvidia' as const,
    source: tool,
    uuid: uuidOf(facts.get('gpu uuid')),
    pciAddress: pciAddressOf(facts.get('bus location')),
    name,
    kind: kindOf(name),
    driverVersion: versionOf(facts.get('gpu firmware')),
    vbios: vbios?.includes('?') === true ? undefined : textOf(vbios),
    state: excluded ? ('excluded' as const) : undefined,
    stateReason: excluded ? 'the driver is told to leave it out (NVreg_ExcludedGpus)' : undefined,
  })
}
