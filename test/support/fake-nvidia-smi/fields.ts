import { busId, type FakeCard, goneLine, model, slowdowns } from './cards.ts'

/** Name (with its older names), value and unit of a field. */
type Field = readonly [names: string | readonly string[], value: string | number, unit?: string]

/** The input of `query.awk` for `--query-gpu`. */
export function gpuTable(cards: readonly FakeCard[]): string {
  return cards
    .map((card) => (card.gone === undefined ? rows(gpuFields(card)) : `!\t${goneLine(card)}\n\n`))
    .join('')
}

/** The same for `--query-compute-apps`. */
export function appsTable(cards: readonly FakeCard[]): string {
  const present = cards.filter(({ gone }) => gone === undefined)
  return present
    .flatMap((card) =>
      card.processes.map(({ pid, name, memoryMiB }) =>
        rows([
          ['gpu_name', model.name],
          ['gpu_bus_id', busId(card)],
          ['gpu_uuid', card.uuid],
          ['pid', pid],
          [['process_name', 'name'], name],
          [['used_gpu_memory', 'used_memory'], memoryMiB, 'MiB'],
        ]),
      ),
    )
    .join('')
}

function rows(fields: readonly Field[]): string {
  const lines = fields.flatMap(([names, value, unit = '']) =>
    [names].flat().map((name) => `${name}\t${value}\t${unit}\n`),
  )
  return `${lines.join('')}\n`
}

function gpuFields(card: FakeCard): Field[] {
  return [
    ...identity(card),
    ...slowdownFields(card),
    ...errorFields(card),
    ['pcie.link.gen.current', card.linkGeneration],
    ['pcie.link.gen.gpucurrent', card.linkGeneration],
    ['pcie.link.gen.max', model.linkGeneration],
    ['pcie.link.gen.gpumax', model.linkGeneration],
    ['pcie.link.gen.hostmax', model.linkGeneration],
    ['pcie.link.width.current', card.linkWidth],
    ['pcie.link.width.max', model.linkWidth],
    ['fan.speed', card.fanPercent, '%'],
    ['pstate', card.utilizationPercent > 0 ? 'P2' : 'P8'],
    ['memory.total', model.memoryMiB, 'MiB'],
    ['memory.reserved', model.reservedMiB, 'MiB'],
    ['memory.used', card.memoryUsedMiB, 'MiB'],
    ['memory.free', model.memoryMiB - model.reservedMiB - card.memoryUsedMiB, 'MiB'],
    ['utilization.gpu', card.utilizationPercent, '%'],
    ['utilization.memory', Math.round(card.utilizationPercent / 2), '%'],
    ['temperature.gpu', card.temperatureC],
    ['temperature.gpu.tlimit', '[N/A]'],
    ['temperature.memory', '[N/A]'],
    ['power.management', 'Enabled'],
    [['power.draw', 'power.draw.average', 'power.draw.instant'], card.powerWatts.toFixed(2), 'W'],
    [['power.limit', 'enforced.power.limit', 'power.default_limit'], model.powerLimitWatts.toFixed(2), 'W'],
    [['power.max_limit'], model.powerLimitWatts.toFixed(2), 'W'],
    [['power.min_limit'], '100.00', 'W'],
    [['clocks.current.graphics', 'clocks.gr', 'clocks.current.sm', 'clocks.sm'], card.graphicsMhz, 'MHz'],
    [['clocks.current.memory', 'clocks.mem'], 7601, 'MHz'],
    [['clocks.max.graphics', 'clocks.max.gr', 'clocks.max.sm'], model.graphicsMhz, 'MHz'],
    [['clocks.max.memory', 'clocks.max.mem'], model.memoryMhz, 'MHz'],
  ]
}

function identity(card: FakeCard): Field[] {
  return [
    ['timestamp', '2026/03/14 09:26:53.589'],
    ['driver_version', model.driver],
    ['count', 8],
    [['name', 'gpu_name'], model.name],
    [['serial', 'gpu_serial'], `15650210${card.index.toString().padStart(5, '0')}`],
    [['uuid', 'gpu_uuid'], card.uuid],
    [['pci.bus_id', 'gpu_bus_id'], busId(card)],
    ['pci.domain', '0x0000'],
    ['pci.bus', `0x${card.bus.toUpperCase()}`],
    ['pci.device', '0x00'],
    ['pci.device_id', '0x223010DE'],
    ['pci.sub_device_id', '0x145910DE'],
    ['index', card.index],
    ['persistence_mode', 'Enabled'],
    ['display_active', 'Disabled'],
    ['vbios_version', '94.02.5C.00.02'],
    ['compute_mode', 'Default'],
    ['compute_cap', '8.6'],
    [['mig.mode.current', 'mig.mode.pending'], '[N/A]'],
    ['gpu_recovery_action', 'None'],
  ]
}

function slowdownFields({ slowdowns: active }: FakeCard): Field[] {
  const mask = slowdowns.reduce((bits, name, bit) => bits | (active.includes(name) ? 2 ** bit : 0), 0)
  const both = (name: string) => [`clocks_event_reasons.${name}`, `clocks_throttle_reasons.${name}`]
  return [
    [both('supported'), '0x00000000000001FF'],
    [both('active'), `0x${mask.toString(16).toUpperCase().padStart(16, '0')}`],
    ...slowdowns.map((name): Field => [both(name), active.includes(name) ? 'Active' : 'Not Active']),
  ]
}

function errorFields(card: FakeCard): Field[] {
  const counts = (kind: string, value: number): Field[] =>
    ['volatile', 'aggregate'].flatMap((since): Field[] => [
      [`ecc.errors.${kind}.${since}.dram`, value],
      [`ecc.errors.${kind}.${since}.device_memory`, value],
      [`ecc.errors.${kind}.${since}.sram`, 0],
      [`ecc.errors.${kind}.${since}.total`, value],
    ])
  return [
    [['ecc.mode.current', 'ecc.mode.pending'], 'Enabled'],
    ...counts('corrected', card.correctedErrors),
    ...counts('uncorrected', card.uncorrectedErrors),
    [['retired_pages.single_bit_ecc.count', 'retired_pages.sbe'], '[N/A]'],
    [['retired_pages.double_bit.count', 'retired_pages.dbe'], '[N/A]'],
    ['retired_pages.pending', '[N/A]'],
    [['remapped_rows.correctable', 'remapped_rows.sbe'], card.remappedRows],
    [['remapped_rows.uncorrectable', 'remapped_rows.dbe'], 0],
    ['remapped_rows.pending', card.remapPending ? 'Yes' : 'No'],
    ['remapped_rows.failure', 'No'],
  ]
}
