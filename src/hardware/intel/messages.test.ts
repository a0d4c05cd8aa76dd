import { describe, expect, it } from 'vitest'
import { box, read, reasonOf } from './readers.fixture.ts'

describe('recorded folders of the kernel', () => {
  it('are read from JSON and from lines of path and value', () => {
    const files = {
      '/sys/class/drm/card0/device/uevent': 'DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0\n',
      '/sys/class/drm/card0/device/tile0/gt0/freq0/act_freq': '1200\n',
      '/sys/class/drm/card0/device/hwmon/hwmon2/temp2_input': '49000\n',
    }
    const expected = {
      pciAddress: '0000:03:00.0',
      name: 'Intel(R) Arc(TM) B580 Graphics',
      sensors: { graphicsClockMhz: 1200, temperatureC: 49 },
    }
    expect(read(JSON.stringify({ files })).devices).toMatchObject([expected])
    const lines = Object.entries(files).flatMap(([path, text]) =>
      text
        .trim()
        .split('\n')
        .map((line) => `${path}:${line}`),
    )
    expect(read(lines.join('\n')).devices).toMatchObject([expected])
  })
})

describe('texts without a card', () => {
  it.each([
    ['Usage: xpu-smi dump [Options]\n', /help of xpu-smi dump/],
    ['Succeed to change the scheduler mode on GPU 1 tile 0.\n', /confirms a setting/],
    ['Export topology to /tmp/t.xml sucessfully.\n', /read that file/],
    ['Failed to initialize PMU! (Permission denied)\n', /cap_perfmon/],
    ['Error: device not found\n', /xpu-smi: device not found/],
    ['', /empty/],
    ['hello', /nothing that a tool/],
  ])('%j is refused with a reason', (text, reason) => {
    expect(reasonOf(text)).toMatch(reason)
  })

  it('of versions and controllers are told as notes', () => {
    expect(
      read('CLI:\n    Version: 1.2.42\n    Build ID: x\n\nService:\n    Level Zero Version: 1.16.0\n').notes,
    ).toEqual(['xpu-smi 1.2.42, Level Zero 1.16.0'])
    expect(
      read(box('| AMC ID | Sensors |', '| AMC 1 | |', '|  | total_brd_pwr (Watts): 38 |')).notes,
    ).toEqual(['AMC 1: total_brd_pwr 38 Watts'])
  })
})
