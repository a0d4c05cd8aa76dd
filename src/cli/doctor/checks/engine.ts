import { join } from 'node:path'
import { workerDevices } from '../../../placement/index.ts'
import type { ListedEngine } from '../../engine-probes.ts'
import type { Check, ConfigLook, DoctorFacts, EngineLook, Finding } from '../contract.ts'
import { gpusOf, listed, namesOf } from '../naming.ts'

type Config = Exclude<ConfigLook, { error: string }>['config']
type Card = DoctorFacts['devices'][number]

/** Whether there is an engine, and whether it computes on the cards of this machine. */
export const engine: Check = (facts) => {
  const { config, engines } = facts
  if (!engines || config?.error !== undefined || config === undefined) return []
  if (config.config.engine === 'ollama') return ollamaEngine(config.config, engines)
  // What others find and can, they say when the server starts.
  if (!['auto', 'llama.cpp', 'embedded'].includes(config.config.engine)) return []
  const used = usedEngine(config.config, engines)
  if (!used) return [noEngine(engines)]
  const unseen = unseenCards(facts, used)
  return [
    ...serverFailure(config.config, engines),
    ...(unseen.length > 0 ? [unseenFinding(facts, config.config, engines, used, unseen)] : []),
    ...(unseen.length === 0 ? missingServer(facts, engines, used) : []),
    ...severalServers(engines, used),
    ...(unseen.length === 0 ? [wellEngine(facts, used)] : []),
  ]
}

/** The engine that `drover serve` takes: the first that is there, in the order of its choice. */
function usedEngine({ engine: chosen }: Config, { listed: all }: EngineLook): ListedEngine | undefined {
  return all.find(({ name, available }) => available && (chosen === 'auto' || chosen === name))
}

function noEngine({ listed: all }: EngineLook): Finding {
  return {
    code: 'no_engine',
    level: 'error',
    title: 'There is no engine that could run models',
    detail: all.map(({ name, reason }) => `${name}: ${reason ?? 'it is not the one that is set'}`).join('; '),
    advice: "Install llama.cpp into Drover's own folder; nothing of the system is changed.",
    command: 'drover engine install',
  }
}

/** A `llama-server` that is there and does not run. */
function serverFailure({ llamaServerPath, engine: chosen }: Config, engines: EngineLook): Finding[] {
  const server = engines.listed.find(({ name }) => name === 'llama.cpp')
  const isWanted = llamaServerPath !== undefined || engines.servers.length > 0
  if (server?.available !== false || !isWanted || chosen === 'embedded') return []
  return [
    {
      code: 'engine_broken',
      level: 'warning',
      title: 'The llama-server that is here does not run',
      detail: `${server.reason ?? ''} Until then the embedded engine is used.`,
      advice:
        llamaServerPath === undefined
          ? 'Mend it, or have Drover install one of its own.'
          : `Correct DROVER_LLAMA_SERVER (${llamaServerPath}), or have Drover install one of its own.`,
      command: 'drover engine install --reinstall',
    },
  ]
}

/** Cards that work and that the engine does not list. */
function unseenCards(facts: DoctorFacts, used: ListedEngine): Card[] {
  const { devices } = workerDevices({
    hardware: facts.devices,
    engineDevices: used.devices ?? [],
    vulkanVisible: facts.host?.visibility['GGML_VK_VISIBLE_DEVICES'],
  })
  const seen = new Set(devices.map(({ id }) => id))
  return gpusOf(facts).filter(
    ({ id, state, kind }) => state === 'ok' && kind !== 'integrated' && !seen.has(id),
  )
}

const backends: Readonly<Record<Card['vendor'], string>> = {
  nvidia: 'CUDA',
  amd: 'ROCm',
  intel: 'SYCL',
  apple: 'Metal',
  other: 'Vulkan',
  cpu: '',
}

function unseenFinding(
  facts: DoctorFacts,
  config: Config,
  engines: EngineLook,
  used: ListedEngine,
  unseen: readonly Card[],
): Finding {
  const working = gpusOf(facts).filter(({ state, kind }) => state === 'ok' && kind !== 'integrated')
  const backend = listed([...new Set(unseen.map(({ vendor }) => backends[vendor]))])
  const sees = listed((used.devices ?? []).map(({ name }) => name)) || 'no GPU'
  const where = used.path === undefined ? '' : ` (${used.path})`
  return {
    code: 'engine_without_backend',
    level: unseen.length === working.length ? 'error' : 'warning',
    title: `The engine ${used.name} does not compute on ${namesOf(facts, unseen)}`,
    detail:
      `${used.name} ${used.version ?? ''}${where} lists ${sees}. It was built without ${backend} and without Vulkan, or ` +
      `${unseen.length === 1 ? "the card's" : "the cards'"} driver lacks the library for it.`,
    ...cure(config, engines, used, unseen),
  }
}

/** Another engine that sees the cards; else one that can be had. */
function cure(
  { enginesDir, llamaServerPath }: Config,
  { listed: all }: EngineLook,
  used: ListedEngine,
  unseen: readonly Card[],
): { advice: string; command: string } {
  const other = all.find(({ available, name, devices = [] }) => {
    if (!available || name === used.name) return false
    const match = workerDevices({ hardware: unseen, engineDevices: devices })
    return unseen.every(({ id }) => match.devices.some((worker) => worker.id === id))
  })
  if (other) {
    return {
      advice: `The engine ${other.name} sees ${unseen.length === 1 ? 'it' : 'them'}: use that one.`,
      command: `DROVER_ENGINE=${other.name} drover serve`,
    }
  }
  const own = join(enginesDir, 'llama.cpp', 'bin', 'llama-server')
  const isOwn = used.path === own || used.name === 'embedded'
  const before = llamaServerPath === undefined ? `, since ${used.path} is found before it` : ''
  const vulkan =
    'Drover installs a build for Vulkan where the machine has a GPU, which runs on cards of every maker'
  const drivers = unseen.some(({ vendor }) => vendor === 'amd' || vendor === 'intel')
    ? ' (AMD and Intel: the package mesa-vulkan-drivers must be there)'
    : ''
  const faster = unseen.some(({ vendor }) => vendor === 'nvidia')
    ? ' Faster still is a build of llama.cpp with -DGGML_CUDA=ON: name it by DROVER_LLAMA_SERVER.'
    : ''
  return {
    advice: `${vulkan}${drivers}.${isOwn ? '' : ` Then name it by DROVER_LLAMA_SERVER${before}.`}${faster}`,
    command: `drover engine install --reinstall${isOwn ? '' : `\nexport DROVER_LLAMA_SERVER=${own}`}`,
  }
}

/** The embedded engine does, and llama.cpp's own server does better. */
function missingServer(facts: DoctorFacts, engines: EngineLook, used: ListedEngine): Finding[] {
  const hasGpu = gpusOf(facts).some(({ state }) => state === 'ok')
  if (used.name !== 'embedded' || !hasGpu || engines.servers.length > 0) return []
  return [
    {
      code: 'no_llama_server',
      level: 'note',
      title: 'There is no llama-server; models run on the embedded engine',
      detail:
        "It computes on the cards too. llama.cpp's own server is newer, and faster with several requests at once.",
      advice: "Have it installed into Drover's own folder.",
      command: 'drover engine install',
    },
  ]
}

function severalServers({ servers }: EngineLook, used: ListedEngine): Finding[] {
  if (servers.length < 2 || used.name !== 'llama.cpp') return []
  const others = servers.filter((path) => path !== used.path)
  return [
    {
      code: 'several_engines',
      level: 'note',
      title: `There are ${servers.length} llama-servers on this machine`,
      detail: `${used.path} (${used.version}) is used; not used: ${listed(others)}.`,
      advice: 'If another is meant, name it by DROVER_LLAMA_SERVER.',
    },
  ]
}

/** With Ollama as the engine its own programs are what counts. */
function ollamaEngine({ ollamaUrls }: Config, { ollamaProgram, attached }: EngineLook): Finding[] {
  const silent = attached.filter(({ answers }) => !answers)
  if (silent.length > 0) {
    return [
      {
        code: 'ollama_unreachable',
        level: silent.length === attached.length ? 'error' : 'warning',
        title: `No Ollama answers at ${listed(silent.map(({ url }) => url))}`,
        detail: 'The configuration names it as a device (ollamaUrls).',
        advice: 'Start it there, or take its URL out.',
      },
    ]
  }
  if (ollamaUrls.length > 0) {
    const title = `Every Ollama that is attached answers: ${listed(ollamaUrls)}`
    return [{ code: 'engine_well', level: 'ok', title, detail: '' }]
  }
  if (ollamaProgram !== undefined) {
    return [{ code: 'engine_well', level: 'ok', title: `Ollama is the engine: ${ollamaProgram}`, detail: '' }]
  }
  return [
    {
      code: 'no_engine',
      level: 'error',
      title: 'Ollama is to be the engine, and there is no ollama',
      detail: 'It is neither on the PATH nor named by DROVER_OLLAMA_PROGRAM.',
      advice: 'Install it (https://ollama.com/download), or take another engine: DROVER_ENGINE=auto.',
    },
  ]
}

function wellEngine(facts: DoctorFacts, { name, version = '', path, devices = [] }: ListedEngine): Finding {
  const hasGpu = gpusOf(facts).some(({ state }) => state === 'ok')
  const on = devices.length > 0 ? ` on ${listed(devices.map((device) => device.name))}` : ''
  return {
    code: 'engine_well',
    level: 'ok',
    title: `The engine ${name} ${version} is ready${hasGpu ? on : ''}: ${path ?? ''}`,
    detail: '',
  }
}
