import { describe, expect, it } from 'vitest'
import { read, reasonOf } from './readers.fixture.ts'

describe('intel_gpu_top', () => {
  const look = (busy: number) => ({
    period: { duration: 1000, unit: 'ms' },
    frequency: { requested: 1400, actual: 1350, unit: 'MHz' },
    rc6: { value: 10, unit: '%' },
    power: { GPU: 21.5, Package: 40, unit: 'W' },
    engines: {
      'Render/3D/0': { busy, sema: 0, wait: 0, unit: '%' },
      '[unknown]/0': { busy: 97.5, sema: 0, wait: 0, unit: '%' },
    },
    clients: {
      '4294': {
        name: 'llama',
        pid: '812',
        memory: { local0: { total: '900', resident: '800' }, system: { resident: '200' } },
      },
    },
  })

  it('takes the last whole measurement of a stream that is never closed', () => {
    const expected = {
      vendor: 'intel',
      source: 'intel_gpu_top',
      sensors: {
        utilization: 0.975,
        graphicsClockMhz: 1350,
        powerWatts: 21.5,
        processes: [{ pid: 812, name: 'llama', memoryBytes: 1000 }],
      },
    }
    const whole = JSON.stringify(look(5), null, '\t')
    for (const text of [
      `[\n${whole},\n${whole}`,
      `[\n[\n${whole}\n,\n{"period": {"duration": 3`,
      `${whole}\n${whole}\n`,
      `[${whole}]`,
    ]) {
      expect(read(text).devices).toEqual([expected])
    }
    const newer = {
      engines: { 'Render/3D': { busy: 130, unit: '%' }, Compute: { busy: 3, unit: '%' } },
      frequency: {},
    }
    expect(read(JSON.stringify(newer)).devices[0]?.sensors).toEqual({ utilization: 1 })
    expect(reasonOf('[\n{"period": {}, "engines": {"Render/3D": {"busy": 1')).toContain(
      'no whole measurement',
    )
  })

  it('takes the last row of the text, with or without its columns of power', () => {
    const rows = [
      ' Freq MHz      IRQ RC6     Power W             RCS             CCS',
      ' req  act       /s   %   gpu   pkg       %  se  wa       %  se  wa',
      ' 900  880       10  50  3.00  9.00    1.00   0   0   80.00   0   0',
    ]
    expect(read(rows.join('\n')).devices[0]?.sensors).toEqual({
      utilization: 0.8,
      graphicsClockMhz: 880,
      powerWatts: 3,
    })
    const bare = [
      'Freq MHz      IRQ RC6             RCS',
      'req  act       /s   %       %  se  wa',
      '900  880       10  50    7.00   0   0',
    ]
    expect(read(bare.join('\n')).devices[0]?.sensors).toEqual({ utilization: 0.07, graphicsClockMhz: 880 })
  })
})
