export { buildTopology } from './build.ts'
export { shortLabels } from './labels.ts'
export { drawSvg } from './svg/draw.ts'
export { drawText } from './text.ts'
