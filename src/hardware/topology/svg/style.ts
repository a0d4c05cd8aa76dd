import type { LinkClass } from '../../contract.ts'

/** Mid tones that stand out from a light and a dark ground alike. */
const classColours: Readonly<Record<LinkClass, string>> = {
  same_board: '#9061d6',
  nvlink: '#2f8f43',
  xgmi: '#c9406a',
  xelink: '#2f74c8',
  pix: '#12a0a0',
  pxb: '#4c86c6',
  phb: '#d99a1c',
  node: '#c9713a',
  sys: '#8a93a0',
  unknown: '#b4bac3',
}

const light = {
  ground: '#ffffff',
  box: '#f4f6f9',
  edge: '#d3d9e2',
  card: '#ffffff',
  ink: '#1c2430',
  dim: '#5d6878',
}
const dark = {
  ground: '#12161c',
  box: '#1a2029',
  edge: '#36404e',
  card: '#222a35',
  ink: '#e8ecf2',
  dim: '#9aa6b6',
}

/** The sheet: every rule under the drawing's own class, so that it keeps to itself inside a page. */
export function styleSheet(): string {
  const classes = Object.entries(classColours).flatMap(([name, colour]) => [
    `.drover-topology .line-${name}{stroke:${colour};fill:none;stroke-linecap:round}`,
    `.drover-topology .fill-${name}{fill:${colour}}`,
  ])
  return [
    `.drover-topology{font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}`,
    `.drover-topology .title{font-size:20px;font-weight:600}`,
    `.drover-topology .node{font-size:13px;font-weight:600}`,
    `.drover-topology .name{font-size:14px;font-weight:700}`,
    `.drover-topology .body{font-size:12px}`,
    `.drover-topology .small{font-size:11px}`,
    `.drover-topology .bold{font-weight:600}`,
    `.drover-topology .middle{text-anchor:middle}`,
    `.drover-topology .end{text-anchor:end}`,
    `.drover-topology .bad{fill:#d9483b;font-weight:600}`,
    `.drover-topology .on-colour{fill:#fff;font-weight:600}`,
    `.drover-topology .tint{opacity:.22}`,
    `.drover-topology .dash{stroke-dasharray:5 4}`,
    ...classes,
    ...themeRules(light),
    `@media (prefers-color-scheme:dark){${themeRules(dark).join('')}}`,
  ].join('\n')
}

/** Plain rules instead of custom properties: viewers other than browsers know these. */
function themeRules({ ground, box, edge, card, ink, dim }: typeof light): string[] {
  return [
    `.drover-topology .ground{fill:${ground}}`,
    `.drover-topology .box{fill:${box};stroke:${edge}}`,
    `.drover-topology .card{fill:${card};stroke:${edge}}`,
    `.drover-topology .ink{fill:${ink}}`,
    `.drover-topology .dim{fill:${dim}}`,
    `.drover-topology .box-halo{stroke:${box};stroke-width:4;paint-order:stroke;stroke-linejoin:round}`,
  ]
}
