import { goInt, goString, goStruct } from '../go-json/index.ts'

export const restartRequest = goStruct('api', 'RestartRequest', { model: goString })

export const drainRequest = goStruct('api', 'DrainRequest', { instance: goInt, grace: goString })
