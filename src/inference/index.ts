export * from './errors.ts'
export * from './events.ts'
export * from './options.ts'
export * from './request.ts'
