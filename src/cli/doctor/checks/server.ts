import { shortLabels } from '../../../hardware/index.ts'
import type { Check, DoctorFacts, Finding, ServerLook } from '../contract.ts'
import { gpusOf, listed, namesOf, sizeText } from '../naming.ts'

/** What answers where Drover is to be. */
export const server: Check = (facts) => (facts.server ? [atAddress(facts.server)] : [])

function atAddress(look: ServerLook): Finding {
  const { url, isLocal, state, version = '' } = look
  switch (state) {
    case 'drover':
      return { code: 'server_well', level: 'ok', title: `Drover answers at ${url}`, detail: '' }
    case 'free':
      return isLocal
        ? {
            code: 'server_well',
            level: 'ok',
            title: `${url} is free: \`drover serve\` can start there`,
            detail: '',
          }
        : away(look, 'Nothing listens there.')
    case 'ollama':
      return isLocal
        ? {
            code: 'port_taken_by_ollama',
            level: 'warning',
            title: `Ollama ${version} answers at ${url}, where Drover is to be`,
            detail: '`drover serve` cannot start there; the other commands talk to Ollama.',
            advice:
              'Stop Ollama and let Drover take its place (it uses the same models), or let Drover listen elsewhere.',
            command: 'sudo systemctl disable --now ollama\n# or:\nOLLAMA_HOST=127.0.0.1:11435 drover serve',
          }
        : {
            code: 'server_well',
            level: 'ok',
            title: `Ollama ${version} answers at ${url}, which is another machine`,
            detail: '',
          }
    case 'other':
      return {
        code: 'port_taken',
        level: isLocal ? 'error' : 'warning',
        title: `Something else than Drover or Ollama answers at ${url}`,
        detail: isLocal ? '`drover serve` cannot start there.' : 'The commands cannot talk to it.',
        advice: 'Stop it, or name another address by OLLAMA_HOST.',
        command: `ss -ltnp 'sport = :${new URL(url).port || 80}'`,
      }
    case 'silent':
      return isLocal
        ? {
            code: 'server_silent',
            level: 'warning',
            title: `What listens at ${url} does not answer`,
            detail: 'Neither Drover nor Ollama takes two seconds to tell its version.',
            advice:
              'If it is Drover, look into its log and start it anew; otherwise stop what it is, or name another address by OLLAMA_HOST.',
            command: `ss -ltnp 'sport = :${new URL(url).port || 80}'`,
          }
        : away(look, 'It gave no answer within two seconds.')
  }
}

function away({ url }: ServerLook, detail: string): Finding {
  return {
    code: 'server_unreachable',
    level: 'warning',
    title: `There is no server at ${url}`,
    detail: `OLLAMA_HOST names that address, which is none of this machine's. ${detail}`,
    advice: 'Start it there, see that no firewall stands between, or correct OLLAMA_HOST.',
  }
}

const isOllama = (name: string | undefined) => /ollama/i.test(name ?? '')

/** Ollama, and other programs, that take of the GPUs what Drover counts on. */
export const sharing: Check = (facts) => {
  const together = ollamaBeside(facts)
  return together ? [together, ...others(facts)] : others(facts)
}

/** Both running, each counts on all of the memory. */
function ollamaBeside(facts: DoctorFacts): Finding | undefined {
  const { ollamas = [], server: look, config } = facts
  const isEngine =
    (config?.error === undefined && config?.config.engine === 'ollama') ||
    facts.devices.some(({ instances }) => instances.some(({ engine }) => engine === 'ollama'))
  const strange = ollamas.filter(({ parent }) => !/drover/.test(parent))
  const gpus = gpusOf(facts).filter(({ state }) => state === 'ok')
  if (isEngine || look?.state !== 'drover' || !look.isLocal || strange.length === 0 || gpus.length === 0)
    return undefined
  return {
    code: 'ollama_beside_drover',
    level: 'warning',
    title: 'Ollama and Drover both run, and both want the GPUs',
    detail: `Ollama is process ${strange.map(({ pid }) => pid).join(', ')}. Each takes all free memory to be its own, so that loads fail or land on the CPU.`,
    advice:
      'Stop Ollama (Drover serves the same models by the same API), or give each its own cards: DROVER_DEVICES for Drover, CUDA_VISIBLE_DEVICES and the like for Ollama.',
    command: 'sudo systemctl disable --now ollama',
  }
}

/** From this share of a card's memory on, what others hold is worth a word. */
const muchMemory = 0.1

/** What other programs hold, told together: on a shared machine they hold some of every card. */
function others(facts: DoctorFacts): Finding[] {
  // Whose a process of a recording is, nobody knows.
  const cards = facts.recorded ? [] : gpusOf(facts).filter((card) => heldBytes(facts, card) > 0)
  if (cards.length === 0) return []
  const bytes = cards.reduce((sum, card) => sum + heldBytes(facts, card), 0)
  const labels = shortLabels(facts.devices)
  const texts = cards.map((card) => {
    const names = strangers(facts, card).map(
      ({ name, pid, memoryBytes = 0 }) =>
        `${name?.split('/').at(-1) ?? 'a process'} (${pid}) ${sizeText(memoryBytes)}`,
    )
    const where = cards.length === 1 ? '' : `${labels.get(card.id)}: `
    return `${where}${listed(names)} of ${sizeText(card.memoryTotalBytes)}`
  })
  const isOfOllama = cards.some((card) => strangers(facts, card).some(({ name }) => isOllama(name)))
  return [
    {
      code: 'memory_taken',
      level: 'note',
      title: `Other programs hold ${sizeText(bytes)} of ${namesOf(facts, cards)}`,
      detail: `${texts.join('; ')}.`,
      advice: isOfOllama
        ? 'Ollama keeps models loaded for a while: stop it, or leave cards to it (DROVER_DEVICES).'
        : 'Drover uses what is left. To have all of it, end them.',
    },
  ]
}

type Card = DoctorFacts['devices'][number]

/** Programs that compute on a card and are not Drover's. */
function strangers(facts: DoctorFacts, { instances, sensors }: Card) {
  const own = new Set(instances.map(({ pid }) => pid))
  return (sensors?.processes ?? []).filter(
    ({ pid, kind, name }) => !own.has(pid) && kind !== 'graphics' && !isDrovers(facts, name),
  )
}

/** What strangers hold of a card; 0 where it is little. */
function heldBytes(facts: DoctorFacts, card: Card): number {
  const bytes = strangers(facts, card).reduce((sum, { memoryBytes = 0 }) => sum + memoryBytes, 0)
  return bytes < card.memoryTotalBytes * muchMemory ? 0 : bytes
}

/** Without the numbers of its instances, an engine's server beside a Drover that runs here may be Drover's. */
function isDrovers({ server: look }: DoctorFacts, name: string | undefined): boolean {
  return look?.state === 'drover' && look.isLocal && /llama-server|\bnode\b/.test(name ?? '')
}
