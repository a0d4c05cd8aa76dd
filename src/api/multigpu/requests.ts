import { goBool, goInt, goString, goStruct } from '../go-json/index.ts'
import { deviceNames } from './wishes.ts'

export const migrateRequest = goStruct('api', 'MigrateRequest', {
  model: goString,
  to: deviceNames('to'),
  instance: goInt,
  strategy: goString,
  tensor_size: goInt,
  pipeline_size: goInt,
  dry_run: goBool,
})

export const rebalanceRequest = goStruct('api', 'RebalanceRequest', { dry_run: goBool })
