export { graphemesOf, graphemeWidth, textWidth } from '../../core/index.ts'
