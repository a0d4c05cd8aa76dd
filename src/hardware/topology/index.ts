export { buildTopology } from './build.ts'
export { drawSvg } from './svg/draw.ts'
export { drawText } from './text.ts'
export { shortLabels } from './labels.ts'
