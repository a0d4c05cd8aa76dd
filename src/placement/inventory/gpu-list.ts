import { DroverError } from '../../inference/index.ts'
import type { Inventory } from '../contract.ts'
import { findCard, isCard } from './cards.ts'
import { type ImaginedCards, type ImaginedNode, imagineInventory, numbered } from './imagine.ts'
import { parseNetwork } from './network.ts'

const gib = 2 ** 30

const mostTextLength = 10_000

/** A machine may have so much memory, and no typing error. */
const mostGiB = 65_536

const howTo =
  'write cards as in 2x4090,rx7900xtx,cpu:64, and other machines behind a slash: 8x3090 / 8x3090 @10gbe'

/**
 * Machines as one line. Of a node the cards are told by commas: `2x4090`, with another memory `A100:80`, joined by
 * bridges `2x3090 nvlink`; `cpu:64` is the host's memory in GiB, `cpu:64:80` with its 10^9 bytes a second. Nodes stand
 * apart by `/` or `;`; `@10gbe` behind one is the network of all. Throws `invalid_request` that names what cannot be
 * read.
 */
export function parseGpuList(text: string): Inventory {
  if (text.trim() === '') throw new DroverError('invalid_request', `no GPUs are told: ${howTo}`)
  if (text.length > mostTextLength)
    throw new DroverError('invalid_request', `this list of GPUs is too long: ${howTo}`)
  const parts = text.split(/[/;\n]/).map((part) => part.trim())
  const networks = new Set(
    parts.flatMap((part) =>
      part
        .split('@')
        .slice(1)
        .map((name) => name.trim()),
    ),
  )
  if (networks.size > 1) {
    throw new DroverError(
      'invalid_request',
      `one network joins all machines here, not "${[...networks].join('" and "')}": tell others by an inventory file`,
    )
  }
  const nodes = parts.map(
    (part, at): ImaginedNode => nodeOf(part.split('@')[0] ?? '', `node${numbered(at + 1, parts.length, 1)}`),
  )
  const [network] = [...networks].map(parseNetwork)
  return imagineInventory(nodes, network)
}

function nodeOf(text: string, id: string): ImaginedNode {
  const items = text
    .split(/[,+]/)
    .map((item) => item.trim())
    .filter((item) => item !== '')
  if (items.length === 0)
    throw new DroverError('invalid_request', `a machine without devices in the list: ${howTo}`)
  const hosts = items.filter(isHost)
  if (hosts.length > 1)
    throw new DroverError('invalid_request', `"${hosts[1]}": the memory of a machine is told twice`)
  const [host] = hosts.map(hostOf)
  return { id, ...host, cards: items.filter((item) => !isHost(item)).map(cardsOf) }
}

const isHost = (item: string) => /^(cpu|ram|host)\b/i.test(item)

function hostOf(item: string): Pick<ImaginedNode, 'memoryGiB' | 'memoryGBs'> {
  const match = /^\w+(?:\s*:\s*([\d.]+)\s*(?:g|gb|gib)?(?:\s*:\s*([\d.]+)\s*(?:gb\/s)?)?)?$/i.exec(item)
  if (!match) {
    throw new DroverError(
      'invalid_request',
      `"${item}" is no host: write cpu:64 for 64 GiB, cpu:64:80 for 80 GB/s of them`,
    )
  }
  const [, memory, rate] = match
  return {
    ...(memory !== undefined && { memoryGiB: sizeOf(memory, item) }),
    ...(rate !== undefined && { memoryGBs: sizeOf(rate, item) }),
  }
}

const nvlink = /[\s-]nvlink$/i

function cardsOf(item: string): ImaginedCards {
  const bridged = nvlink.test(item)
  const { times, rest } = timesOf(item.replace(nvlink, ''))
  const count = Number(times)
  if (count < 1) throw new DroverError('invalid_request', `"${item}": none of a card is no card`)
  const [told = '', colon, more] = rest.split(':')
  if (more !== undefined)
    throw new DroverError('invalid_request', `"${item}": one size is told behind a colon, in GiB`)
  const { name, size = colon } = colon === undefined ? sizedName(told.trim()) : { name: told.trim() }
  const memoryGiB = size === undefined ? undefined : sizeOf(size.replace(/\s*(g|gb|gib)\s*$/i, ''), item)
  const spec = findCard(name, memoryGiB)
  if (bridged && spec.bridge?.name !== 'NVLink') {
    throw new DroverError('invalid_request', `"${item}": ${spec.card} has no NVLink`)
  }
  return {
    spec,
    name: spec.card,
    count,
    memoryBytes: (memoryGiB ?? spec.vramGiB) * gib,
    ...(bridged && { bridged }),
  }
}

interface Times {
  times: string
  rest: string
}

/** `2x4090`, and `4090x2` where the whole is no card's name, as `7900xtx` is. */
function timesOf(item: string): Times {
  const once = { times: '1', rest: item }
  if (isWhole(once)) return once
  const [, before = '', named] = /^(\d+)\s*[x×*]\s*(.+)$/i.exec(item) ?? []
  const [, name, after = '', size = ''] = /^(.+?)\s*[x×*]\s*(\d+)((?:\s*:.*)?)$/i.exec(item) ?? []
  const ways: Times[] = [
    ...(named === undefined ? [] : [{ times: before, rest: named }]),
    ...(name === undefined ? [] : [{ times: after, rest: name + size }]),
  ]
  return ways.find(isWhole) ?? ways[0] ?? once
}

const isWhole = ({ rest }: Times) => isCard(rest.split(':')[0] ?? '')

/** `RTX 4090 24GB` and `3090 (24GB)`, where that is not the name of a card. */
function sizedName(text: string): { name: string; size?: string } {
  const [, name, size] = isCard(text) ? [] : (/^(.*\S)\s*\(?\b(\d+)\s*(?:gb|gib)\)?$/i.exec(text) ?? [])
  return name !== undefined && size !== undefined
    ? { name: name.replace(/\s*\($/, ''), size }
    : { name: text }
}

function sizeOf(text: string, item: string): number {
  const value = Number(text.trim())
  if (text.trim() !== '' && value > 0 && value <= mostGiB) return value
  throw new DroverError('invalid_request', `"${item}": "${text}" is no number from 1 to ${mostGiB}`)
}
