export { createHealthBook, defaultHealthLimits } from './book.ts'
export * from './contract.ts'
export { createRetryBudget, defaultRetryBudget, type RetryBudgetOptions } from './retry-budget.ts'
