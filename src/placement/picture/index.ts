export { drawPlan, type PictureOptions } from './draw.ts'
export { type DrawnModel, describePlan, drawPlans, letterOf } from './together.ts'
