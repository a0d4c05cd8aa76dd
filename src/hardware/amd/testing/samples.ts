/** Texts in the forms of AMD's tools, with made-up figures. */

export const staticJson = `WARNING: User is missing the following required groups: render
[
  {
    "gpu": 0,
    "asic": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002", "device_id": "0x74a1",
             "asic_serial": "0x1A2B3C4D5E6F7081", "num_compute_units": 304, "target_graphics_version": "gfx942"},
    "bus": {"bdf": "0000:C6:00.0", "max_pcie_width": 16, "max_pcie_speed": {"value": 32, "unit": "GT/s"},
            "pcie_interface_version": "Gen 5", "slot_type": "OAM"},
    "vbios": {"name": "AMD MI300X", "part_number": "113-M3000100-102", "version": "022.040.003.041"},
    "limit": {"max_power": {"value": 750, "unit": "W"}, "socket_power": "700 W",
              "slowdown_edge_temperature": "N/A", "slowdown_hotspot_temperature": {"value": 100, "unit": "C"},
              "shutdown_edge_temperature": "N/A", "shutdown_hotspot_temperature": {"value": 110, "unit": "C"}},
    "driver": {"name": "amdgpu", "version": "6.10.5"},
    "board": {"product_serial": "692300000001", "product_name": "N/A"},
    "numa": {"node": 1, "affinity": 1,
             "cpu_affinity": {"cpu_list_0": {"bitmask": "FF", "cpu_cores_affinity": "48-63"},
                              "cpu_list_1": {"bitmask": "FF", "cpu_cores_affinity": "64-95"}}},
    "vram": {"type": "HBM", "size": {"value": 196592, "unit": "MB"}},
    "partition": {"compute_partition": "SPX", "memory_partition": "NPS1", "partition_id": 0}
  }
]
`

export const partitionJson = JSON.stringify({
  gpu_data: [0, 1].map((part) => ({
    gpu: part,
    asic: { market_name: 'AMD Instinct MI300X', device_id: '0x74a1', asic_serial: '0x1A2B3C4D5E6F7081' },
    bus: { bdf: `0000:c6:00.${part}` },
    vram: { size: { value: 24574, unit: 'MB' } },
    partition: { accelerator_partition: 'CPX', memory_partition: 'NPS4', partition_id: part },
  })),
})

export const metricText = `GPU: 0
    USAGE:
        GFX_ACTIVITY: 37 %
        UMC_ACTIVITY: 12 %
        VCN_ACTIVITY: [0 %, 0
            %, N/A]
    POWER:
        SOCKET_POWER: 41 W
        THROTTLE_STATUS: UNTHROTTLED
    CLOCK:
        GFX_0:
            CLK: N/A
            MAX_CLK: N/A
        GFX_1:
            CLK: 1810 MHz
            MIN_CLK: 500 MHz
            MAX_CLK: 2100 MHz
        MEM_0:
            CLK: 900 MHz
            MAX_CLK: 1300 MHz
    TEMPERATURE:
        EDGE: 44 °C
        HOTSPOT: 51 °C
        MEM: 48 °C
    PCIE:
        WIDTH: 8
        SPEED: 16 GT/s
        REPLAY_COUNT: 3
    ECC:
        TOTAL_CORRECTABLE_COUNT: 5
        TOTAL_UNCORRECTABLE_COUNT: 1
    FAN:
        SPEED: 102
        MAX: 255
        RPM: 1400
        USAGE: 40.0 %
    MEM_USAGE:
        TOTAL_VRAM: 16368 MB
        USED_VRAM: 1024 MB
        FREE_VRAM: 15344 MB
    THROTTLE:
        PROCHOT_VIOLATION_STATUS: NOT ACTIVE
        PPT_VIOLATION_STATUS: ACTIVE
        SOCKET_THERMAL_VIOLATION_STATUS: ACTIVE
        LOW_UTILIZATION_VIOLATION_STATUS:
            XCP_0: [NOT ACTIVE, N/A]

GPU: 1
    USAGE:
        GFX_ACTIVITY: N/A
...
`

export const topologyText = `LINK TYPE TABLE:
             0000:0a:00.0 0000:2a:00.0 0000:aa:00.0
0000:0a:00.0 SELF         XGMI         PCIE
0000:2a:00.0 XGMI         SELF         PCIE
0000:aa:00.0 PCIE         PCIE         SELF

HOPS TABLE:
             0000:0a:00.0 0000:2a:00.0 0000:aa:00.0
0000:0a:00.0 0            1            3
0000:2a:00.0 1            0            2
0000:aa:00.0 3            2            0

ACCESS TABLE:
             0000:0a:00.0 0000:2a:00.0 0000:aa:00.0
0000:0a:00.0 ENABLED      ENABLED      DISABLED
0000:2a:00.0 ENABLED      ENABLED      ENABLED
0000:aa:00.0 ENABLED      ENABLED      ENABLED

NUMA BW TABLE:
             0000:0a:00.0 0000:2a:00.0 0000:aa:00.0
0000:0a:00.0 N/A          50000-75000  0-0
0000:2a:00.0 50000-75000  N/A          0-0
0000:aa:00.0 0-0          0-0          N/A
`

export const monitorText = `GPU  POWER   GPU_T   MEM_T   GFX_CLK   GFX%   MEM%   ENC%   DEC%      VRAM_USAGE
  0  201 W   46 °C   N/A     2107 MHz   88 %    9 %    N/A    0 %    12.5/192.0 GB
  1  N/A     46 °C
`

export const tableText = `+------------------------------------------------------------------------------+
| AMD-SMI 26.2.0+021c61fc      amdgpu version: 6.16.6   ROCm version: 7.1.0    |
| Platform: Linux Baremetal                                                    |
|-------------------------------------+----------------------------------------|
| BDF                        GPU-Name | Mem-Uti   Temp   UEC       Power-Usage |
| GPU  HIP-ID  OAM-ID  Partition-Mode | GFX-Uti    Fan               Mem-Usage |
|=====================================+========================================|
| 0000:2d:00.0  AMD Radeon RX 9070 XT | 6 %      62 °C   2           189/266 W |
|   0       0     N/A             N/A | 100 %   29.8 %          11541/16304 MB |
|-------------------------------------+----------------------------------------|
| 0000:c5:00.0    AMD Radeon Graphics | N/A        N/A   0             N/A/0 W |
|   1       1     N/A             N/A | N/A        N/A            161/98304 MB |
+-------------------------------------+----------------------------------------+
+------------------------------------------------------------------------------+
| Processes:                                                                   |
|  GPU        PID  Process Name          GTT_MEM  VRAM_MEM  MEM_USAGE     CU % |
|==============================================================================|
|    0      36750  python3.12             2.0 MB    9.5 GB     9.6 GB  N/A     |
+------------------------------------------------------------------------------+
`

export const rocmJson = JSON.stringify({
  card3: {
    'Device Name': '0x73df',
    'Device ID': '0x73df',
    'Unique ID': '0x2f048617326b1ea',
    'Temperature (Sensor edge) (c)': '45.0',
    'Temperature (Sensor junction) (C)': '47.0',
    'sclk clock speed:': '(1725Mhz)',
    'sclk clock level:': '8',
    'sclk clock level': '8 (1725Mhz)',
    'pcie clock level': '1 (16.0GT/s x16)',
    'Average Graphics Package Power (W)': 'N/A (Secondary die)',
    'Max Graphics Package Power (W)': '211.0',
    'GPU use (%)': '20.5',
    'GPU memory use (%)': '4',
    'PCI Bus': '0000:0B:00.0',
    'vram Total Memory (B)': '12868124672',
    'vram Total Used Memory (B)': '868124672',
    'Card series': 'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
    'Card model': '0x6601',
    'Serial Number': '0',
    '(Topology) Numa Node': '4294967295',
  },
  card4: { 'Card series': '0x1002', 'Fan speed (%)': '13', 'Fan RPM': '682' },
  system: {
    'Driver version': '6.3.6',
    '(Topology) Weight between DRM devices 3 and 4': '72',
    '(Topology) Hops between DRM devices 3 and 4': '3',
    '(Topology) Link type between DRM devices 3 and 4': 'PCIE',
  },
})

export const rocmCsv = `device,GPU use (%),VRAM Total Memory (B),Card Series,Card Model,Card Vendor
card0,11,17095983104,"Radeon RX 6800, reference",0x73bf,Advanced Micro Devices Inc.
card1,12,17095983104,Radeon RX 6800,0x73bf,Advanced Micro Devices Inc.

device,PCI Bus
card0,0000:03:00.0
card1,0000:43:00.0
`

export const rocmTable = `========================================== ROCm System Management Interface ==========================================
==================================================== Concise Info ====================================================
Device  Node  IDs              Temp        Power     Partitions          SCLK    MCLK    Fan  Perf  PwrCap  VRAM%  GPU%
              (DID,     GUID)  (Junction)  (Socket)  (Mem, Compute, ID)
======================================================================================================================
0       2     0x74a1,   1017   43.0°C      155.0W    NPS1, SPX, 0        94Mhz   900Mhz  0%   auto  750.0W  0%     3%
1       3     0x74a1,   47713  41.0°C      N/A       NPS4, CPX, 1        91Mhz   900Mhz  0%   auto  750.0W  0%     0%
======================================================================================================================
================================================ End of ROCm SMI Log =================================================
`

export const rocmLines = `============================ ROCm System Management Interface ============================
Driver version: 6.7.0
GPU[0]\t\t: Card series: \t\tAMD Instinct MI210
GPU[0]\t\t: PCI Bus: 0000:63:00.0
GPU[0]\t\t: sclk clock level: S: (137Mhz)
GPU[0]\t\t: get_volt_metric, Not supported on the given system
GPU[0]\t\t: Temperature (Sensor junction) (C): 35.0
GPU[1]\t\t: PCI Bus: 0000:43:00.0
================================== Link Type between two GPUs =============================
       GPU0         GPU1
GPU0   0            PCIE
GPU1   PCIE         0
==================================== Hops between two GPUs ================================
       GPU0         GPU1
GPU0   0            2
GPU1   2            0
====================================== Numa Nodes =========================================
GPU[0]\t\t: (Topology) Numa Node: 0
GPU[1]\t\t: (Topology) Numa Node: 1
================================== End of ROCm SMI Log ===================================
`

export const rocminfoText = `=====================
HSA System Attributes
=====================
*******
Agent 1
*******
  Name:                    AMD Ryzen 9
  Device Type:             CPU
*******
Agent 2
*******
  Name:                    gfx1103
  Uuid:                    GPU-XX
  Marketing Name:          AMD Radeon 780M
  Device Type:             GPU
  Chip ID:                 5567(0x15bf)
  Max Clock Freq. (MHz):   2700
  BDFID:                   50432
  Compute Unit:            12
  Pool Info:
    Pool 1
      Segment:                 GLOBAL; FLAGS: COARSE GRAINED
      Size:                    8388608(0x800000) KB
`

export const amdgpuTopJson = JSON.stringify({
  devices: [
    {
      Info: {
        DeviceName: 'AMD Radeon RX 7600',
        DeviceID: 29824,
        PCI: '0000:0b:00.0',
        'ASIC Name': 'NAVI33',
        'GPU Type': 'dGPU',
        'VRAM Size': 8573157376,
      },
      Sensors: {
        'Edge Temperature': { unit: 'C', value: 40 },
        'Average Power': { unit: 'W', value: 12 },
        Fan: null,
      },
      VRAM: { 'Total VRAM': { unit: 'MiB', value: 8176 }, 'Total VRAM Usage': { unit: 'MiB', value: 512 } },
      gpu_activity: { GFX: { unit: '%', value: 50 }, Memory: { unit: '%', value: null } },
      gpu_metrics: { 'Throttle Status': ['PPT0', 'TEMP_HOTSPOT', 'PPT1'] },
    },
  ],
})

export const samples: readonly string[] = [
  staticJson,
  partitionJson,
  metricText,
  topologyText,
  monitorText,
  tableText,
  rocmJson,
  rocmCsv,
  rocmTable,
  rocmLines,
  rocminfoText,
  amdgpuTopJson,
]
