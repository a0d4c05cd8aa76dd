import { busId, type FakeCard, goneLine, model, slowdowns } from './cards.ts'

/** An element: its name, and its text or the elements in it. */
type Element = readonly [name: string, content: string | number | readonly Element[]]

/** `nvidia-smi -q -x`. A card that does not answer leaves its message between the others. */
export function queryXml(cards: readonly FakeCard[]): string {
  const head: Element[] = [
    ['timestamp', 'Sat Mar 14 09:26:53 2026'],
    ['driver_version', model.driver],
    ['cuda_version', model.cuda],
    ['attached_gpus', cards.length],
  ]
  const gpus = cards.map((card) =>
    card.gone === undefined
      ? `\t<gpu id="${busId(card)}">\n${elements(gpuElements(card), 2)}\t</gpu>\n\n`
      : `${goneLine(card)}\n`,
  )
  return [
    '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">\n<nvidia_smi_log>\n',
    elements(head, 1),
    ...gpus,
    '</nvidia_smi_log>\n',
  ].join('')
}

function elements(all: readonly Element[], depth: number): string {
  const indent = '\t'.repeat(depth)
  return all
    .map(([name, content]) =>
      typeof content === 'object'
        ? `${indent}<${name}>\n${elements(content, depth + 1)}${indent}</${name}>\n`
        : `${indent}<${name}>${content}</${name}>\n`,
    )
    .join('')
}

function gpuElements(card: FakeCard): Element[] {
  return [
    ...identity(card),
    ['pci', pciElements(card)],
    ['fan_speed', `${card.fanPercent} %`],
    ['performance_state', card.utilizationPercent > 0 ? 'P2' : 'P8'],
    [
      'clocks_event_reasons',
      slowdowns.map((name) => [
        `clocks_event_reason_${name}`,
        card.slowdowns.includes(name) ? 'Active' : 'Not Active',
      ]),
    ],
    [
      'fb_memory_usage',
      [
        ['total', `${model.memoryMiB} MiB`],
        ['reserved', `${model.reservedMiB} MiB`],
        ['used', `${card.memoryUsedMiB} MiB`],
        ['free', `${model.memoryMiB - model.reservedMiB - card.memoryUsedMiB} MiB`],
      ],
    ],
    ['compute_mode', 'Default'],
    [
      'utilization',
      [
        ['gpu_util', `${card.utilizationPercent} %`],
        ['memory_util', `${Math.round(card.utilizationPercent / 2)} %`],
        ['encoder_util', '0 %'],
        ['decoder_util', '0 %'],
      ],
    ],
    ...memoryErrors(card),
    ...temperatureAndPower(card),
    ...clocks(card),
    ['processes', card.processes.map((process) => ['process_info', processElements(process)])],
  ]
}

function identity(card: FakeCard): Element[] {
  return [
    ['product_name', model.name],
    ['product_brand', 'NVIDIA RTX'],
    ['product_architecture', 'Ampere'],
    ['display_active', 'Disabled'],
    ['persistence_mode', 'Enabled'],
    ['addressing_mode', 'HMM'],
    [
      'mig_mode',
      [
        ['current_mig', 'N/A'],
        ['pending_mig', 'N/A'],
      ],
    ],
    ['mig_devices', 'None'],
    ['serial', `15650210${card.index.toString().padStart(5, '0')}`],
    ['uuid', card.uuid],
    ['minor_number', card.index],
    ['vbios_version', '94.02.5C.00.02'],
    ['multigpu_board', 'No'],
    ['gpu_recovery_action', 'None'],
  ]
}

function pciElements(card: FakeCard): Element[] {
  return [
    ['pci_bus', card.bus.toUpperCase()],
    ['pci_device', '00'],
    ['pci_domain', '0000'],
    ['pci_device_id', '223010DE'],
    ['pci_bus_id', busId(card)],
    ['pci_sub_system_id', '145910DE'],
    [
      'pci_gpu_link_info',
      [
        [
          'pcie_gen',
          [
            ['max_link_gen', model.linkGeneration],
            ['current_link_gen', card.linkGeneration],
            ['device_current_link_gen', card.linkGeneration],
            ['max_device_link_gen', model.linkGeneration],
            ['max_host_link_gen', model.linkGeneration],
          ],
        ],
        [
          'link_widths',
          [
            ['max_link_width', `${model.linkWidth}x`],
            ['current_link_width', `${card.linkWidth}x`],
          ],
        ],
      ],
    ],
    ['replay_counter', 0],
    ['replay_rollover_counter', 0],
    ['tx_util', '488 KB/s'],
    ['rx_util', '1953 KB/s'],
  ]
}

function memoryErrors(card: FakeCard): Element[] {
  const counts: Element[] = [
    ['sram_correctable', 0],
    ['sram_uncorrectable_parity', 0],
    ['sram_uncorrectable_secded', 0],
    ['dram_correctable', card.correctedErrors],
    ['dram_uncorrectable', card.uncorrectedErrors],
  ]
  return [
    [
      'ecc_mode',
      [
        ['current_ecc', 'Enabled'],
        ['pending_ecc', 'Enabled'],
      ],
    ],
    [
      'ecc_errors',
      [
        ['volatile', counts],
        ['aggregate', counts],
      ],
    ],
    [
      'remapped_rows',
      [
        ['remapped_row_corr', card.remappedRows],
        ['remapped_row_unc', 0],
        ['remapped_row_pending', card.remapPending ? 'Yes' : 'No'],
        ['remapped_row_failure', 'No'],
      ],
    ],
  ]
}

function temperatureAndPower(card: FakeCard): Element[] {
  return [
    [
      'temperature',
      [
        ['gpu_temp', `${card.temperatureC} C`],
        ['gpu_temp_tlimit', 'N/A'],
        ['gpu_temp_max_threshold', `${model.shutdownC} C`],
        ['gpu_temp_slow_threshold', `${model.slowdownC} C`],
        ['gpu_temp_max_gpu_threshold', '93 C'],
        ['gpu_target_temperature', '84 C'],
        ['memory_temp', 'N/A'],
      ],
    ],
    [
      'gpu_power_readings',
      [
        ['average_power_draw', `${card.powerWatts.toFixed(2)} W`],
        ['instant_power_draw', `${card.powerWatts.toFixed(2)} W`],
        ['current_power_limit', `${model.powerLimitWatts.toFixed(2)} W`],
        ['requested_power_limit', `${model.powerLimitWatts.toFixed(2)} W`],
        ['default_power_limit', `${model.powerLimitWatts.toFixed(2)} W`],
        ['min_power_limit', '100.00 W'],
        ['max_power_limit', `${model.powerLimitWatts.toFixed(2)} W`],
      ],
    ],
  ]
}

function clocks(card: FakeCard): Element[] {
  return [
    [
      'clocks',
      [
        ['graphics_clock', `${card.graphicsMhz} MHz`],
        ['sm_clock', `${card.graphicsMhz} MHz`],
        ['mem_clock', '7601 MHz'],
      ],
    ],
    [
      'max_clocks',
      [
        ['graphics_clock', `${model.graphicsMhz} MHz`],
        ['sm_clock', `${model.graphicsMhz} MHz`],
        ['mem_clock', `${model.memoryMhz} MHz`],
      ],
    ],
  ]
}

function processElements({ pid, name, memoryMiB }: FakeCard['processes'][number]): Element[] {
  return [
    ['gpu_instance_id', 'N/A'],
    ['compute_instance_id', 'N/A'],
    ['pid', pid],
    ['type', 'C'],
    ['process_name', name],
    ['used_memory', `${memoryMiB} MiB`],
  ]
}
