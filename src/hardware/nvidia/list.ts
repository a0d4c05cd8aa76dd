import type { DeviceReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { present } from '../units.ts'
import { kindOf, uuidOf } from './card.ts'
import { messagesOf } from './messages.ts'

const tool = 'nvidia-smi -L'
const gpuLine = /^\s*GPU\s+(\d+):\s*(.+?)\s*\(UUID:\s*([^)]+)\)/i
const migLine = /^\s+MIG\s+(\S+)\s+Device\s+(\d+):\s*\(UUID:\s*([^)]+)\)/i

/** `nvidia-smi -L`: the shortest list of cards, and the only one that tells the UUIDs of MIG instances. */
export const listReader: OutputReader = {
  tool,
  matches: (text) => text.split('\n', 50).some((line) => gpuLine.test(line)),
  read(text) {
    const { devices: lost, notes } = messagesOf(text, tool)
    const devices: DeviceReading[] = []
    let card: DeviceReading | undefined
    for (const line of text.split(/\r?\n/)) {
      const [, number, name, uuid] = gpuLine.exec(line) ?? []
      if (number !== undefined) {
        card = present({
          vendor: 'nvidia' as const,
          source: tool,
          index: Number(number),
          uuid: uuidOf(uuid),
          name,
          kind: kindOf(name),
        })
        devices.push(card)
      }
      const [, profile, part, partUuid] = migLine.exec(line) ?? []
      if (card === undefined || part === undefined) continue
      card.partitioned = true
      devices.push(
        present({
          vendor: 'nvidia' as const,
          source: tool,
          index: Number(part),
          uuid: uuidOf(partUuid),
          name: card.name,
          kind: 'partition' as const,
          parent: present({ uuid: card.uuid, index: card.index }),
          partitionProfile: profile,
        }),
      )
    }
    return devices.length + lost.length === 0
      ? refused(`${tool}: no card is listed in it`)
      : readingOf(tool, { devices: [...devices, ...lost], notes })
  },
}
