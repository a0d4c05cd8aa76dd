import { describe, expect, it } from 'vitest'
import { box, read } from './readers.fixture.ts'

describe('xpu-smi stats', () => {
  const metric = (name: string, value: number) => ({ metrics_type: `XPUM_STATS_${name}`, value })

  it('takes MiB and bytes of used memory for what they are', () => {
    const of = (value: number) =>
      read(JSON.stringify({ device_id: 0, device_level: [metric('MEMORY_USED', value)] }))
    expect(of(229.1875).devices[0]?.sensors?.memoryUsedBytes).toBe(240320512)
    expect(of(134410240).devices[0]?.sensors?.memoryUsedBytes).toBe(134410240)
    expect(of(0).devices[0]?.sensors?.memoryUsedBytes).toBe(0)
  })

  it('makes one figure of those of the tiles, where the card itself has none', () => {
    const tile = (tile_id: number, clock: number, degrees: number) => ({
      tile_id,
      data_list: [
        metric('GPU_UTILIZATION', 20 * (tile_id + 1)),
        metric('GPU_FREQUENCY', clock),
        metric('GPU_CORE_TEMPERATURE', degrees),
        metric('MEMORY_USED', 1000),
        metric('POWER', 100),
        metric('RAS_ERROR_CAT_CACHE_ERRORS_CORRECTABLE', 2),
        metric('RAS_ERROR_CAT_NON_COMPUTE_ERRORS_CORRECTABLE', 1),
      ],
    })
    const json = {
      device_id: 1,
      device_level: [metric('POWER', 230)],
      tile_level: [tile(0, 1000, 50), tile(1, 1400, 61)],
    }
    expect(read(JSON.stringify(json)).devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        sensors: {
          utilization: 0.3,
          memoryUsedBytes: 2000 * 1024 ** 2,
          powerWatts: 230,
          graphicsClockMhz: 1200,
          temperatureC: 61,
          ecc: { corrected: 6 },
        },
      },
    ])
  })

  it('tells the current figures of a table with two tiles', () => {
    const { devices } = read(
      box(
        '| Device ID | 2 |',
        '+---+---+',
        '| Average % utilization of | Tile 0: 40 |',
        '| all GPU Engines | Tile 1: 60 |',
        '| Mem Errors Correctable | Tile 0: 1, total: 5 |',
        '|  | Tile 1: 4, total: 5 |',
        '| GPU Power (W) | Tile 0: avg: 1, min: 1, max: 1, current: 150 |',
        '|  | Tile 1: avg: 1, min: 1, max: 1, current: 151.5 |',
        '| GPU Core Temperature | Tile 0: avg: 1, min: 1, max: 1, current: 70 |',
        '| (Celsius Degree) | Tile 1: avg: 1, min: 1, max: 1, current: 68 |',
        '| GPU Memory Temperature | Tile 0: avg: , min: , max: , current: |',
        '| GPU Memory Util (%) | Tile 0: avg: 9, min: 9, max: 9, current: 9 |',
        '| Compute Engine Util (%) | Engine 0: 99, Engine 1: 98 |',
      ),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 2,
        sensors: { utilization: 0.5, powerWatts: 301.5, temperatureC: 70, ecc: { corrected: 5 } },
      },
    ])
  })

  it('reads the flags of Level Zero for why a card is slowed', () => {
    const of = (value: number) =>
      read(JSON.stringify({ device_id: 0, device_level: [metric('FREQUENCY_THROTTLE_REASON_GPU', value)] }))
        .devices[0]?.sensors?.throttle
    expect(of(0)).toEqual([])
    expect(of(9)).toEqual(['power_cap', 'hw_thermal'])
    expect(of(512)).toEqual(['other'])
  })
})

describe('xpu-smi dump', () => {
  it('takes the newest row of each card, and nothing for cells that are empty or not available', () => {
    const { devices, notes } = read(
      [
        'Timestamp, DeviceId, GPU Utilization (%), GPU Power (W), GPU Core Temperature (Celsius Degree), GPU Memory Used (MiB), Throttle reason',
        '06:14:46.000,    0, 0.00, 14.61, 40, 10, Not Throttled',
        '06:14:46.000,    1, 50.00, N/A,    , 10.5, Thermal Limit | Average Power',
        '06:14:47.000,    0, 12.50, 30.00, 41, 11, Not Throttled',
        '06:14:48.000,    0, 12.5',
      ].join('\n'),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 0,
        sensors: {
          utilization: 0.125,
          powerWatts: 30,
          temperatureC: 41,
          memoryUsedBytes: 11 * 1024 ** 2,
          throttle: [],
        },
      },
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        sensors: {
          utilization: 0.5,
          memoryUsedBytes: 10.5 * 1024 ** 2,
          throttle: ['hw_thermal', 'power_cap'],
        },
      },
    ])
    expect(notes).toHaveLength(2)
  })
})
