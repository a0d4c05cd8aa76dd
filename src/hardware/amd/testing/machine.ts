/** Parts of a Linux machine with AMD's cards, as paths and texts. */

const drm = '/sys/class/drm'
/** KFD's nodes. */
export const nodes = '/sys/class/kfd/kfd/topology/nodes'

/** A card behind its own switch (1478, 1479), as boards since Vega are. */
export function card(name: string, bus: string, facts: { [file: string]: string } = {}) {
  const root = '/sys/devices/pci0000:00/0000:00:01.1'
  const switchBus = (Number.parseInt(bus, 16) - 2).toString(16).padStart(2, '0')
  const lowerBus = (Number.parseInt(bus, 16) - 1).toString(16).padStart(2, '0')
  const port = `${root}/0000:${switchBus}:00.0`
  const lower = `${port}/0000:${lowerBus}:00.0`
  const own = `${lower}/0000:${bus}:00.0`
  const values: { [file: string]: string } = {
    vendor: '0x1002',
    device: '0x744c',
    revision: '0xcc',
    uevent: `DRIVER=amdgpu\nPCI_SLOT_NAME=0000:${bus}:00.0`,
    unique_id: `00000000000000${bus}`,
    mem_info_vram_total: '21458059264',
    mem_info_vram_used: '27856896',
    gpu_busy_percent: '7',
    mem_busy_percent: '3',
    numa_node: '0',
    local_cpulist: '0-15',
    current_link_speed: '16.0 GT/s PCIe',
    current_link_width: '16',
    max_link_speed: '16.0 GT/s PCIe',
    max_link_width: '16',
    [`drm/renderD1${bus}`]: '',
    'hwmon/hwmon3/temp1_input': '47000',
    'hwmon/hwmon3/temp1_label': 'edge',
    'hwmon/hwmon3/temp1_crit': '100000',
    'hwmon/hwmon3/temp1_emergency': '105000',
    'hwmon/hwmon3/temp2_input': '55000',
    'hwmon/hwmon3/temp2_label': 'junction',
    'hwmon/hwmon3/temp3_input': '62000',
    'hwmon/hwmon3/temp3_label': 'mem',
    'hwmon/hwmon3/power1_average': '19000000',
    'hwmon/hwmon3/power1_cap': '257000000',
    'hwmon/hwmon3/fan1_input': '1200',
    'hwmon/hwmon3/pwm1': '51',
    'hwmon/hwmon3/freq1_input': '2525000000',
    'hwmon/hwmon3/freq1_label': 'sclk',
    ...facts,
  }
  const files: { [path: string]: string | { symlink: string } } = {
    [`${drm}/${name}/device`]: { symlink: own },
    [`/sys/bus/pci/devices/0000:${bus}:00.0`]: { symlink: own },
    [`/sys/bus/pci/devices/0000:${switchBus}:00.0`]: { symlink: port },
    [`/sys/bus/pci/devices/0000:${lowerBus}:00.0`]: { symlink: lower },
    [`${port}/vendor`]: '0x1002',
    [`${port}/current_link_speed`]: '8.0 GT/s PCIe',
    [`${port}/current_link_width`]: '4',
    [`${port}/max_link_speed`]: '16.0 GT/s PCIe',
    [`${port}/max_link_width`]: '16',
    [`${lower}/vendor`]: '0x1002',
    '/sys/bus/pci/devices/0000:00:01.1': { symlink: root },
    [`${root}/vendor`]: '0x1022',
  }
  for (const [file, text] of Object.entries(values)) files[`${own}/${file}`] = `${text}\n`
  return files
}

/** A GPU in KFD's topology. */
export function node(id: number, facts: { [name: string]: number | string }) {
  const properties = {
    cpu_cores_count: 0,
    simd_count: 168,
    simd_per_cu: 2,
    gfx_target_version: 110000,
    device_id: 0x744c,
    domain: 0,
    drm_render_minor: 128,
    max_engine_clk_fcompute: 2525,
    ...facts,
  }
  return {
    [`${nodes}/${id}/properties`]: Object.entries(properties)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
    [`${nodes}/${id}/mem_banks/0/properties`]: 'heap_type 1\nsize_in_bytes 21458059264\n',
    [`${nodes}/${id}/mem_banks/0/used_memory`]: '1000000\n',
  }
}

/** A node of KFD that is a processor. */
export const processor = { [`${nodes}/0/properties`]: 'cpu_cores_count 16\nsimd_count 0\n' }
