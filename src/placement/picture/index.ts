export { drawPlan, type PictureOptions } from './draw.ts'
