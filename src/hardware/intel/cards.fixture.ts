import { bridge, drmCard, type Files, insideLink } from './machine.fixture.ts'

const root = 'pci0000:00/0000:00:01.0'
/** Where the card of `arc` stands below `/sys/devices`. */
export const arcPath = `${root}/0000:01:00.0/0000:02:01.0/0000:03:00.0`

/** An Arc B580 on xe behind the switch that it carries, in a slot of 8 lanes. */
export const arc: Files = {
  ...bridge(root, '0x8086', ['16.0 GT/s PCIe', '8', '32.0 GT/s PCIe', '16']),
  ...bridge(`${root}/0000:01:00.0`, '0x8086', ['16.0 GT/s PCIe', '8', '16.0 GT/s PCIe', '8']),
  ...bridge(`${root}/0000:01:00.0/0000:02:01.0`, '0x8086', ['2.5 GT/s PCIe', '1', '2.5 GT/s PCIe', '1']),
  ...drmCard({
    number: 1,
    path: arcPath,
    driver: 'xe',
    deviceId: 'e20b',
    values: {
      ...insideLink,
      'device/numa_node': '-1',
      'device/tile0/vram0/total_bytes': '12809404416',
      'device/tile0/vram0/used_bytes': '1048576000',
      'device/tile0/gt0/freq0/act_freq': '2450',
      'device/tile0/gt0/freq0/rp0_freq': '2850',
      'device/tile0/gt0/freq0/throttle/status': '1',
      'device/tile0/gt0/freq0/throttle/reason_pl1': '1',
      'device/tile0/gt0/freq0/throttle/reason_thermal': '0',
      'device/tile0/gt0/gtidle/idle_residency_ms': '5000',
      'device/hwmon/hwmon4/name': 'xe',
      'device/hwmon/hwmon4/energy1_input': '100000000',
      'device/hwmon/hwmon4/power1_max': '0',
      'device/hwmon/hwmon4/power1_rated_max': '190000000',
      'device/hwmon/hwmon4/temp2_input': '51000',
      'device/hwmon/hwmon4/temp3_input': '58000',
      'device/hwmon/hwmon4/fan1_input': '1210',
      'device/hwmon/hwmon4/fan2_input': '0',
    },
  }),
}

/** Graphics of a processor on i915. */
export const processor: Files = {
  ...drmCard({
    number: 0,
    path: 'pci0000:00/0000:00:02.0',
    driver: 'i915',
    deviceId: 'a780',
    values: {
      'gt/gt0/rps_act_freq_mhz': '350',
      'gt/gt0/rps_RP0_freq_mhz': '1550',
      'gt/gt0/throttle_reason_status': '0',
      'gt/gt0/rc6_residency_ms': '900',
    },
  }),
  '/proc/meminfo': 'MemTotal:       32768000 kB\nMemFree:        1000 kB\nMemAvailable:   20000000 kB\n',
  '/proc/sys/kernel/osrelease': '6.14.2\n',
}

/** Device files that this user may open. */
export const open = { '/dev/dri/renderD128': true, '/dev/dri/renderD129': true }
