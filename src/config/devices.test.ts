import { describe, expect, it } from 'vitest'
import { deviceList, deviceSettings, modelPins, parseDeviceSelector } from './devices.ts'

describe('the name of a device', () => {
  it.each([
    ['cpu', { kind: 'cpu' }],
    ['cpu:0-2', { kind: 'cpu', cores: [0, 1, 2] }],
    ['cpu:0+4-5', { kind: 'cpu', cores: [0, 4, 5] }],
    ['numa', { kind: 'numa' }],
    ['gpus', { kind: 'gpus' }],
    ['all', { kind: 'gpus' }],
    ['1', { kind: 'gpu', name: '1' }],
    ['GPU-5eed', { kind: 'gpu', name: 'GPU-5eed' }],
  ])('%s is understood', (text, selector) => {
    expect(parseDeviceSelector(text)).toEqual(selector)
  })

  it.each(['', '  ', 'cpu:', 'cpu:x', 'cpu:3-1'])('%j is none', (text) => {
    expect(parseDeviceSelector(text)).toBeUndefined()
  })
})

describe('the list of devices', () => {
  it('is written with commas in a variable, and as names or mappings in the file', () => {
    const [first, second] = deviceList.parse('cpu:0,cpu:1') ?? []
    expect(first).toEqual({ selector: { kind: 'cpu', cores: [0] }, settings: {} })
    expect(second?.selector).toEqual({ kind: 'cpu', cores: [1] })
    expect(
      deviceList.parse([{ cpu: '0' }, { cpu: 1, memory_limit: '2GiB' }, 'GPU-1', { gpu: 0, exclude: true }]),
    ).toEqual([
      { selector: { kind: 'cpu', cores: [0] }, settings: {} },
      { selector: { kind: 'cpu', cores: [1] }, settings: { memoryLimitBytes: 2 * 2 ** 30 } },
      { selector: { kind: 'gpu', name: 'GPU-1' }, settings: {} },
      { selector: { kind: 'gpu', name: '0' }, settings: { exclude: true } },
    ])
    expect(deviceList.parse('auto')).toBeUndefined()
  })

  it.each([
    [''],
    [[]],
    ['cpu:x'],
    [[{ cpu: '0', gpu: '1' }]],
    [[{ models: ['a'] }]],
    [[{ gpu: '0', colour: 'red' }]],
    [7],
  ])('%j is none', (value) => {
    expect(deviceList.safeParse(value).success).toBe(false)
  })
})

describe('settings of single devices', () => {
  const expected = [
    {
      selector: { kind: 'gpu', name: '0' },
      settings: {
        port: 11435,
        memoryLimitBytes: 8 * 2 ** 30,
        models: ['a'],
        maxConcurrentRequests: 4,
        instances: 2,
      },
    },
  ]
  const fields = {
    port: 11435,
    memory_limit: '8GiB',
    models: ['a'],
    max_concurrent_requests: 4,
    instances: 2,
  }

  it('are a mapping, a list, or YAML in a variable', () => {
    expect(deviceSettings.parse({ '0': fields })).toEqual(expected)
    expect(deviceSettings.parse([{ gpu: 0, ...fields }])).toEqual(expected)
    expect(deviceSettings.parse(JSON.stringify({ '0': fields }))).toEqual(expected)
    expect(deviceSettings.parse('"0": {reserve: 1GiB}')).toEqual([
      { selector: { kind: 'gpu', name: '0' }, settings: { reserveBytes: 2 ** 30 } },
    ])
  })

  it.each([
    { '0': { port: 70_000 } },
    { '0': { portt: 1 } },
    { '': { port: 1 } },
    'no: [yaml',
    { '0': { instances: 0 } },
  ])('%j are none', (value) => {
    expect(deviceSettings.safeParse(value).success).toBe(false)
  })
})

it('pins name the devices of a model', () => {
  const pins = { 'qwen3:8b': [{ selector: { kind: 'gpu', name: '1' }, settings: {} }] }
  expect(modelPins.parse({ 'qwen3:8b': ['1'] })).toEqual(pins)
  expect(modelPins.parse('{"qwen3:8b": "1"}')).toEqual(pins)
  expect(modelPins.safeParse({ 'qwen3:8b': [] }).success).toBe(false)
})
