export { between, type LayerSums, layerSumsOf } from './layer-sums.ts'
export {
  allReduceS,
  type Fabric,
  fabricOf,
  handOverS,
  hostLink,
  linkDefaults,
  sameWire,
  slowestWire,
  type Wire,
} from './links.ts'
export { hostRatesOf, type Rates, ratesOf } from './rates.ts'
export { decodeTokensPerSOf, readBytesOf, speedOf } from './speed.ts'
