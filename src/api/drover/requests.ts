import { goString, goStruct } from '../go-json/index.ts'

export const restartRequest = goStruct('api', 'RestartRequest', { model: goString })
