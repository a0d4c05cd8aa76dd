import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../config/index.ts'
import { diagnose } from '../checks.ts'
import { card, codesOf, config, findingOf, machine } from '../testing.ts'

/** The configuration of a process with these variables, as Drover itself reads it. */
function configured(env: Record<string, string>) {
  return loadConfig({ flags: {}, env, readFile: () => undefined, homeDir: '/home/ada', cwd: '/' })
}

describe('a configuration', () => {
  it('that cannot be used is an error in its own words', () => {
    const error = 'DROVER_ENGINE: "vllm" is not allowed; it takes auto, llama.cpp, embedded or ollama'
    expect(findingOf(machine({ config: { error } }), 'configuration_refused')).toMatchObject({
      level: 'error',
      detail: error,
    })
  })

  it('with a variable that nobody knows is a warning', () => {
    const facts = machine({ config: configured({ DROVER_DEVICE: 'gpus' }) })
    expect(findingOf(facts, 'unknown_variable')).toMatchObject({
      level: 'warning',
      title: expect.stringContaining('DROVER_DEVICE is set'),
    })
  })

  it("with a variable of Ollama's that has no effect here is a note; a slip is a warning", () => {
    const facts = machine({ config: configured({ OLLAMA_SCHED_SPREAD: '1', OLLAMA_NUM_PARALEL: '2' }) })
    expect(codesOf(facts)).toEqual(['variable_without_effect', 'variable_without_effect'])
    const [slip, known] = [/PARALEL/, /SPREAD/].map((name) => levelOf(facts, name))
    expect([slip, known]).toEqual(['warning', 'note'])
  })

  it('from a file that is read without a word is well', () => {
    const facts = machine({
      config: { config: config(), warnings: [], file: '/home/ada/.drover/config.yaml' },
    })
    expect(findingOf(facts, 'configuration_well').title).toBe('Configuration: /home/ada/.drover/config.yaml')
  })
})

function levelOf(facts: ReturnType<typeof machine>, title: RegExp) {
  return diagnose(facts).find((finding) => title.test(finding.title))?.level
}

describe('devices that the configuration names', () => {
  const named = (devices: string, changes: Parameters<typeof machine>[0] = {}) =>
    machine({ config: configured({ DROVER_DEVICES: devices }), ...changes })

  it('are well where they are there, however they are named', () => {
    for (const name of ['0', '0000:01:00.0', card().id, 'gpus', 'cpu:0-3', 'numa']) {
      expect(codesOf(named(name))).toEqual([])
    }
  })

  it('and that nobody has are an error that lists what there is', () => {
    const found = findingOf(named('GPU-gone,0'), 'configured_device_missing')
    expect(found).toMatchObject({
      level: 'error',
      title: 'The configuration names a GPU "GPU-gone", and there is none',
      detail: `There are: ${card().id}.`,
    })
  })

  it('and that are lost are told with their state', () => {
    const lost = [card({ state: 'lost', stateReason: 'GPU is lost' })]
    expect(findingOf(named('0', { devices: lost }), 'configured_device_missing')).toMatchObject({
      title: 'The configuration names "0", which cannot be used',
      detail: 'GPU is lost',
    })
  })

  it('and that are cores of another machine are told with those of this', () => {
    const found = findingOf(named('cpu:2-5'), 'configured_device_missing')
    expect(found.title).toBe('The configuration names CPU cores that are not there: 4, 5')
  })

  it('in settings and pins count as well, and once', () => {
    const env = { DROVER_PINS: '{"a": ["7"], "b": ["7"]}' }
    expect(codesOf(machine({ config: configured(env) }))).toEqual(['configured_device_missing'])
  })
})
