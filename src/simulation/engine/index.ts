export type { EngineModel, ModelledEvent, ModelledInstance, ModelledRequest } from './contract.ts'
export { createModelledInstance, type ModelledOptions } from './instance.ts'
export { type DeviceRoofline, type EngineSetup, engineModelOf, type ModelRoofline } from './roofline.ts'
