export { createHealthBook, defaultHealthLimits } from './book.ts'
export * from './contract.ts'
export { createRetryBudget, type RetryBudgetOptions } from './retry-budget.ts'
