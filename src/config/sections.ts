/** Of the names that begin with `Head.`, what follows it. */
type Under<Values, Head extends string> = {
  [Name in keyof Values as Name extends `${Head}.${infer Rest}` ? Rest : never]: Values[Name]
}

/** Values by names with dots as the tree that the dots tell of: `a.b` becomes `b` in `a`. */
export type Nested<Values> = {
  [Name in keyof Values as Name extends `${infer Head}.${string}`
    ? Head
    : Name]: Name extends `${infer Head}.${string}` ? Nested<Under<Values, Head>> : Values[Name]
}

type Tree = { [name: string]: unknown }

/** The tree of values whose names have dots. */
export function nested<Values extends object>(values: Values): Nested<Values> {
  const tree: Tree = {}
  for (const [name, value] of Object.entries(values)) {
    const path = name.split('.')
    const last = path.pop() ?? name
    let place = tree
    for (const part of path) place = sectionOf(place, part)
    place[last] = value
  }
  return tree as Nested<Values>
}

function sectionOf(tree: Tree, name: string): Tree {
  const section = tree[name]
  if (isMapping(section)) return section
  const made: Tree = {}
  tree[name] = made
  return made
}

export function isMapping(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `keep_alive` and `keepAlive` are the same setting, `multi_gpu.strategy` and `multiGpu.strategy` too. */
export function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** What is written in a file, by the whole name of each setting as it is written there. */
export function flattened(
  content: Tree,
  isSection: (name: string) => boolean,
  prefix = '',
): { name: string; value: unknown }[] {
  return Object.entries(content).flatMap(([key, value]) => {
    const name = `${prefix}${key}`
    return isMapping(value) && isSection(camelCase(name))
      ? flattened(value, isSection, `${name}.`)
      : [{ name, value }]
  })
}
