export { type MoveAction, rebalance } from './balance.ts'
export type * from './contract.ts'
export { defaultReconcileSettings, noMemory } from './contract.ts'
export {
  createForecaster,
  type Forecast,
  type Forecaster,
  type ForecastScore,
} from './forecast.ts'
export { type KeptHistory, keptHistory } from './forecast-history.ts'
export { type Reconciled, reconcile } from './reconcile.ts'
export { type Done, inverseOf } from './undo.ts'
