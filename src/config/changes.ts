import { isDeepStrictEqual } from 'node:util'
import { names, rowOf } from './layer.ts'
import type { LoadedConfig } from './load.ts'
import { camelCase } from './sections.ts'
import type { SettingName, Values } from './settings.ts'

/** A setting that is written otherwise than it was. */
export interface Change {
  name: SettingName
  /** As it stands in the file. */
  key: string
  /** As they were written; undefined where nothing is. */
  from: unknown
  to: unknown
  /** It takes effect while the server runs. */
  live: boolean
}

/** What `next` sets otherwise than `running` has it, in the order of the settings. */
export function changesBetween(
  running: Pick<LoadedConfig, 'values' | 'origins'>,
  next: Pick<LoadedConfig, 'values' | 'origins'>,
): Change[] {
  return names
    .filter((name) => !isDeepStrictEqual(running.values[name], next.values[name]))
    .map((name) => ({
      name,
      key: rowOf(name).key,
      from: running.origins[name]?.value ?? rowOf(name).default,
      to: next.origins[name]?.value ?? rowOf(name).default,
      live: rowOf(name).live === true,
    }))
}

/** What runs when the live ones of these changes are made. */
export function withChanges(
  running: Pick<LoadedConfig, 'values' | 'origins'>,
  next: Pick<LoadedConfig, 'values' | 'origins'>,
  changes: readonly Change[],
): Pick<LoadedConfig, 'values' | 'origins'> {
  const made = changes.filter(({ live }) => live).map(({ name }) => name)
  const values = Object.fromEntries(
    names.map((name) => [name, (made.includes(name) ? next : running).values[name]]),
  ) as Values
  const origins = Object.fromEntries(
    names.flatMap((name) => {
      const origin = (made.includes(name) ? next : running).origins[name]
      return origin ? [[name, origin] as const] : []
    }),
  )
  return { values, origins }
}

/** The setting with this name in any spelling (`keep_alive`), or those of a section. Throws where there is neither. */
export function findSettings(text: string): SettingName[] {
  const wanted = camelCase(text)
  const found = names.filter((name) => {
    const key = camelCase(rowOf(name).key)
    return key === wanted || key.startsWith(`${wanted}.`)
  })
  if (found.length > 0) return found
  const keys = names.map((name) => rowOf(name).key).toSorted()
  const last = wanted.split('.').at(-1)?.toLowerCase() ?? ''
  const like = keys.filter((key) => camelCase(key).toLowerCase().includes(last))
  throw new Error(`there is no setting "${text}"; there are ${(like.length > 0 ? like : keys).join(', ')}`)
}

/** A setting as it is, and who says so. */
export interface DescribedSetting {
  key: string
  /** As it was written, or the default; absent where nothing is set and nothing stands for it. */
  value?: unknown
  /** `default`, or the flag, the variable, or the file and its key. */
  from: string
  live: boolean
}

/** Every setting as it is. */
export function describeSettings({ origins }: Pick<LoadedConfig, 'origins'>): DescribedSetting[] {
  return names.map((name) => {
    const { key, default: initial, live = false } = rowOf(name)
    const value = origins[name]?.value ?? initial
    return { key, ...(value !== undefined && { value }), from: origins[name]?.place ?? 'default', live }
  })
}
