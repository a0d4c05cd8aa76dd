import { describe, expect, it } from 'vitest'
import { box, read } from './readers.fixture.ts'

describe('xpu-smi health', () => {
  const table = box(
    '| Device ID | 1 |',
    '+---+---+',
    '| 1. GPU Core Temperature | Status: Warning |',
    '|  | Description: Temperature is 108. |',
    '|  | Throttle Threshold: 105 Celsius Degree |',
    '|  | Shutdown Threshold: 130 Celsius Degree |',
    '+---+---+',
    '| 2. GPU Memory Temperature | Status: Unknown |',
    '|  | Throttle Threshold: 85 Celsius Degree |',
    '+---+---+',
    '| 3. GPU Power | Status: Ok |',
    '|  | Throttle Threshold: 300 watts |',
    '+---+---+',
    '| 6. GPU Frequency | Status: Warning |',
    '|  | Description: The device frequency is throttled by thermal limit. |',
  )

  it('tells limits, throttling and what is not well', () => {
    const { devices, notes } = read(table)
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        sensors: { slowdownC: 105, shutdownC: 130, powerLimitWatts: 300, throttle: ['hw_thermal'] },
      },
    ])
    expect(notes).toEqual([
      'card 1: GPU Core Temperature is Warning: Temperature is 108.',
      'card 1: GPU Frequency is Warning: The device frequency is throttled by thermal limit.',
    ])
  })

  it('tells the same from JSON, where -1 is no threshold', () => {
    const json = {
      device_list: [
        {
          device_id: 0,
          core_temperature: {
            status: 'Ok',
            throttle_threshold: 105,
            shutdown_threshold: 130,
            custom_threshold: -1,
          },
          power: { status: 'Ok', throttle_threshold: -1 },
          memory: { status: 'Critical', description: 'Memory needs repair.' },
          frequency: { status: 'OK' },
        },
      ],
    }
    const { devices, notes } = read(JSON.stringify(json))
    expect(devices[0]?.sensors).toEqual({ slowdownC: 105, shutdownC: 130, throttle: [] })
    expect(notes).toEqual(['card 0: memory is Critical: Memory needs repair.'])
  })
})

describe('xpu-smi ps and config', () => {
  it('tells processes of each card with names that hold blanks', () => {
    const { devices } = read(
      'PID       Command             DeviceID       SHR            MEM\n77        llama server        0              0              4096\n78        b                   0              1              8\n77        llama server        1              0              0\n',
    )
    expect(devices.map(({ index, sensors }) => [index, sensors?.processes])).toEqual([
      [
        0,
        [
          { pid: 77, name: 'llama server', memoryBytes: 4096000 },
          { pid: 78, name: 'b', memoryBytes: 8000 },
        ],
      ],
      [1, [{ pid: 77, name: 'llama server', memoryBytes: 0 }]],
    ])
    const list = {
      device_util_by_proc_list: [
        { device_id: 0, process_id: 9, process_name: 'x', mem_size: 5, shared_mem_size: 0 },
      ],
    }
    expect(read(JSON.stringify(list)).devices[0]?.sensors?.processes).toEqual([
      { pid: 9, name: 'x', memoryBytes: 5000 },
    ])
    expect(read('{"device_util_by_proc_list": []}').notes).toEqual(['no process uses a card'])
  })

  it('tells the settings of a card and the highest clock of its tiles', () => {
    const { devices } = read(
      box(
        '| Device Type | Device ID/Tile ID | Configuration |',
        '+---+---+---+',
        '| GPU | 4 | Power Limit (w): 0 |',
        '|  |  | Memory ECC: |',
        '|  |  |   Current: disabled |',
        '|  |  |   Pending: enabled |',
        '+---+---+---+',
        '| GPU | 4/0 | GPU Max Frequency (MHz): 1500 |',
        '|  |  | Standby Mode: |',
        '| GPU | 4/1 | GPU Max Frequency (MHz): 1600 |',
      ),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 4,
        sensors: { graphicsClockMaxMhz: 1600, ecc: { enabled: false } },
      },
    ])
    const json = {
      device_id: 0,
      power_limit: 300,
      memory_ecc_current_state: 'enabled',
      tile_config_data: [{ tile_id: '0/0', max_frequency: 1300 }],
    }
    expect(read(JSON.stringify(json)).devices[0]?.sensors).toEqual({
      powerLimitWatts: 300,
      graphicsClockMaxMhz: 1300,
      ecc: { enabled: true },
    })
  })
})
