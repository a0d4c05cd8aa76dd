/**
 * Where each fact of a card stands in the reports of nvidia-smi, as keys of `Cells`: first the names in
 * `nvidia-smi -q -x`, then those of `nvidia-smi -q`, then the columns of `--query-gpu`, of all driver versions from 375
 * to 610. The first name that holds a value counts.
 */
export const fields = {
  name: ['product_name', 'name', 'gpu_name'],
  uuid: ['uuid', 'gpu_uuid'],
  index: ['index'],
  pciAddress: ['pci.pci_bus_id', 'pci.bus_id', 'gpu_bus_id', 'id'],
  pciDeviceId: ['pci.pci_device_id', 'pci.device_id'],
  serial: ['serial', 'serial_number', 'gpu_serial'],
  vbios: ['vbios_version'],
  architecture: ['product_architecture'],
  computeCapability: ['compute_cap'],
  persistence: ['persistence_mode'],
  migMode: ['mig_mode.current_mig', 'mig_mode.current', 'mig.mode.current'],
  driverVersion: ['kmd_version', 'driver_version'],
  cudaVersion: ['cuda_umd_version', 'cuda_version'],
  resetRequired: ['gpu_reset_status.reset_required'],
  resetRecommended: ['gpu_reset_status.drain_and_reset_recommended'],
  recoveryAction: ['gpu_recovery_action'],

  memoryTotal: ['fb_memory_usage.total', 'memory.total'],
  memoryUsed: ['fb_memory_usage.used', 'memory.used'],
  memoryFree: ['fb_memory_usage.free', 'memory.free'],
  utilization: ['utilization.gpu_util', 'utilization.gpu'],
  memoryUtilization: ['utilization.memory_util', 'utilization.memory'],

  temperature: ['temperature.gpu_temp', 'temperature.gpu_current_temp', 'temperature.gpu'],
  memoryTemperature: [
    'temperature.memory_temp',
    'temperature.memory_current_temp',
    'temperature.memory_temperature',
    'temperature.memory',
  ],
  slowdown: ['temperature.gpu_temp_slow_threshold', 'temperature.gpu_slowdown_temp'],
  shutdown: ['temperature.gpu_temp_max_threshold', 'temperature.gpu_shutdown_temp'],
  margin: [
    'temperature.gpu_temp_tlimit',
    'temperature.gpu_t.limit_temp',
    'temperature.gpu_current_t.limit_temp',
    'temperature.gpu.tlimit',
  ],
  slowdownMargin: ['temperature.gpu_temp_slow_tlimit_threshold', 'temperature.gpu_slowdown_t.limit_temp'],
  shutdownMargin: ['temperature.gpu_temp_max_tlimit_threshold', 'temperature.gpu_shutdown_t.limit_temp'],

  power: [
    'gpu_power_readings.power_draw',
    'gpu_power_readings.average_power_draw',
    'gpu_power_readings.instant_power_draw',
    'gpu_power_readings.instantaneous_power_draw',
    'power_readings.power_draw',
    'power.draw',
    'power.draw.average',
    'gpu.power.draw.average',
    'power.draw.instant',
    'gpu.power.draw.instant',
  ],
  powerLimit: [
    'gpu_power_readings.current_power_limit',
    'gpu_power_readings.enforced_power_limit',
    'power_readings.enforced_power_limit',
    'power_readings.power_limit',
    'enforced.power.limit',
    'gpu.power.current_limit',
    'power.limit',
    'gpu.power.requested_limit',
  ],
  graphicsClock: ['clocks.graphics_clock', 'clocks.graphics', 'clocks.current.graphics', 'clocks.gr'],
  memoryClock: ['clocks.mem_clock', 'clocks.memory', 'clocks.current.memory', 'clocks.mem'],
  graphicsClockMax: [
    'max_clocks.graphics_clock',
    'max_clocks.graphics',
    'clocks.max.graphics',
    'clocks.max.gr',
  ],
  memoryClockMax: ['max_clocks.mem_clock', 'max_clocks.memory', 'clocks.max.memory', 'clocks.max.mem'],
  throttleMask: ['clocks_event_reasons.active'],
  fan: ['fan_speed', 'fan.speed'],

  pcieGeneration: [
    'pci.pci_gpu_link_info.pcie_gen.current_link_gen',
    'pci.gpu_link_info.pcie_generation.current',
    'pcie.link.gen.current',
    'pcie.link.gen.gpucurrent',
  ],
  pcieMaxGeneration: [
    'pci.pci_gpu_link_info.pcie_gen.max_link_gen',
    'pci.gpu_link_info.pcie_generation.max',
    'pcie.link.gen.max',
  ],
  pcieWidth: [
    'pci.pci_gpu_link_info.link_widths.current_link_width',
    'pci.gpu_link_info.link_width.current',
    'pcie.link.width.current',
  ],
  pcieMaxWidth: [
    'pci.pci_gpu_link_info.link_widths.max_link_width',
    'pci.gpu_link_info.link_width.max',
    'pcie.link.width.max',
  ],
  pcieReplays: ['pci.replay_counter', 'pci.replays_since_reset'],

  eccMode: ['ecc_mode.current_ecc', 'ecc_mode.current', 'ecc.mode.current'],
  retiredSingle: [
    'retired_pages.multiple_single_bit_retirement.retired_count',
    'retired_pages.single_bit_ecc',
    'retired_pages.single_bit_ecc.count',
    'retired_pages.sbe',
  ],
  retiredDouble: [
    'retired_pages.double_bit_retirement.retired_count',
    'retired_pages.double_bit_ecc',
    'retired_pages.double_bit.count',
    'retired_pages.dbe',
  ],
  remappedCorrectable: [
    'remapped_rows.remapped_row_corr',
    'remapped_rows.correctable_error',
    'remapped_rows.correctable',
    'remapped_rows.sbe',
  ],
  remappedUncorrectable: [
    'remapped_rows.remapped_row_unc',
    'remapped_rows.uncorrectable_error',
    'remapped_rows.uncorrectable',
    'remapped_rows.dbe',
  ],
} as const satisfies Record<string, readonly string[]>

/** Each of these being `Yes` means that a repair waits for a reset. */
export const repairPending = [
  'remapped_rows.remapped_row_pending',
  'remapped_rows.pending',
  'retired_pages.pending_retirement',
  'retired_pages.pending_blacklist',
  'retired_pages.pending_page_blacklist',
  'retired_pages.pending',
  'ecc_errors.channel_repair_pending',
  'ecc_errors.tpc_repair_pending',
]

/** Each of these being `Yes` means that a repair failed. */
export const repairFailed = [
  'remapped_rows.remapped_row_failure',
  'remapped_rows.remapping_failure_occurred',
  'remapped_rows.failure',
  'ecc_errors.unrepairable_memory',
]

/** Memory error counters of a period: a total where it is told, else parts that add up to it. */
export interface CounterNames {
  total: readonly string[]
  /** Each entry is one part; of the names in it the first that is told counts. */
  parts: readonly (readonly string[])[]
}

/** `volatile`: since the driver was loaded; `aggregate`: over the card's life. */
export function eccCounters(
  period: 'volatile' | 'aggregate',
  errors: 'corrected' | 'uncorrected',
): CounterNames {
  const report = `ecc_errors.${period}`
  const csv = `ecc.errors.${errors}.${period}`
  const bits = errors === 'corrected' ? 'single_bit' : 'double_bit'
  const word = errors === 'corrected' ? 'correctable' : 'uncorrectable'
  const sram =
    errors === 'corrected'
      ? []
      : [
          [`${report}.sram_uncorrectable_parity`, `${csv}.sram.parity`],
          [
            `${report}.sram_uncorrectable_secded`,
            `${report}.sram_uncorrectable_sec_ded`,
            `${csv}.sram.secded`,
          ],
        ]
  return {
    total: [`${csv}.total`, `${report}.${bits}.total`],
    parts: [
      [`${report}.dram_${word}`, `${csv}.dram`, `${csv}.device_memory`, `${report}.${bits}.device_memory`],
      [`${report}.sram_${word}`, `${csv}.sram`],
      ...sram,
    ],
  }
}
