export { backendOf, hostShare } from './devices.ts'
export { inventoryFrom, parseInventory } from './file.ts'
export { parseGpuList } from './gpu-list.ts'
export { type FoundMachine, inventoryOf } from './machine.ts'
