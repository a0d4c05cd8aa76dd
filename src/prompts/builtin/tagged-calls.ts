import type { Tool, ToolProperty } from '../../inference/index.ts'
import { readJsonCall } from './json-calls.ts'
import { typesOf } from './rendering.ts'
import { type FoundCall, parseObject } from './sections.ts'

/**
 * Calls in tags that look like XML and are none: values stand in them as they are, without a type of their own. The
 * tool's schema gives them one.
 */

/** Reads `<function=f><parameter=a>1</parameter></function>`, one or several, or a call in JSON. */
export function readFunctionTags(body: string, tools: readonly Tool[]): FoundCall[] | undefined {
  const starts = [...body.matchAll(/<function=([^<>\s]+)\s*>/g)]
  if (starts.length === 0) return listOf(readJsonCall(parseObject(body.trim())))
  return starts.map(({ 0: tag, 1: name = '', index }, n) => {
    const inner = body.slice(index + tag.length, starts[n + 1]?.index)
    const parameters = inner.matchAll(
      /<parameter=([^<>]+?)\s*>([\s\S]*?)(?:<\/parameter>|(?=<parameter=)|(?=<\/function>)|$)/g,
    )
    return callOf(
      name,
      [...parameters].map(([, key = '', value = '']) => [key.trim(), withoutLineEnds(value)]),
      tools,
    )
  })
}

/** What a tool is called that a model knows by another name. */
export type ResolveName = (name: string) => string

/** Reads `f<arg_key>a</arg_key><arg_value>1</arg_value>`, a name with JSON behind it, or a call in JSON. */
export function readArgumentTags(
  body: string,
  tools: readonly Tool[],
  resolve: ResolveName = (name) => name,
): FoundCall[] | undefined {
  const text = body.trim()
  if (text.startsWith('{')) {
    const call = readJsonCall(parseObject(text))
    return call && [{ name: resolve(call.name), args: call.args }]
  }
  const head = /<arg_key>|\{|$/.exec(text)
  const name = text.slice(0, head?.index).trim()
  if (name === '' || /[\s<>]/.test(name)) return undefined
  if (head?.[0] === '{') {
    const args = parseObject(text.slice(head.index))
    return args && [{ name: resolve(name), args }]
  }
  const pairs = text.matchAll(
    /<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)(?:<\/arg_value>|(?=<arg_key>)|$)/g,
  )
  const written = [...pairs].map(([, key = '', value = '']): [string, string] => [
    key.trim(),
    withoutLineEnds(value),
  ])
  return [callOf(resolve(name), written, tools)]
}

/** Reads `<atem:invoke name="f"><atem:parameter name="a">1</atem:parameter></atem:invoke>`, one or several. */
export function readInvokeTags(
  body: string,
  tools: readonly Tool[],
  resolve: ResolveName = (name) => name,
): FoundCall[] | undefined {
  const invokes = [...body.matchAll(/<atem:invoke name="([^"]+)">([\s\S]*?)(?:<\/atem:invoke>|$)/g)]
  if (invokes.length === 0) return undefined
  return invokes.map(([, name = '', inner = '']) => {
    const parameters = inner.matchAll(/<atem:parameter name="([^"]+)">([\s\S]*?)<\/atem:parameter>/g)
    return callOf(
      resolve(name),
      [...parameters].map(([, key = '', value = '']) => [key, value]),
      tools,
    )
  })
}

function listOf(call: FoundCall | undefined): FoundCall[] | undefined {
  return call && [call]
}

function callOf(name: string, written: [key: string, value: string][], tools: readonly Tool[]): FoundCall {
  const properties =
    tools.find(({ function: called }) => called.name === name)?.function.parameters?.properties ?? {}
  const args = written.map(([key, value]) => [
    key,
    typedValue(value, Object.hasOwn(properties, key) ? properties[key] : undefined),
  ])
  return { name, args: Object.fromEntries(args) }
}

/** One line end at either end belongs to the tags. */
function withoutLineEnds(value: string): string {
  return value.replace(/^\n/, '').replace(/\n$/, '')
}

/**
 * A value by its parameter's schema: the first of null, boolean, number, list and object that the schema allows
 * and the text is, else the text.
 */
export function typedValue(text: string, property: ToolProperty | undefined): unknown {
  const trimmed = text.trim()
  const word = trimmed.toLowerCase()
  if (word === 'null') return null
  const types = new Set(property?.anyOf?.length ? property.anyOf.flatMap(typesOf) : typesOf(property ?? {}))
  if (types.has('boolean')) {
    if (word === 'true' || word === 'false') return word === 'true'
  }
  if (types.has('integer') && /^[+-]?\d+$/.test(trimmed)) return Number(trimmed)
  if (types.has('number') && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return Number(trimmed)
  if (types.has('array') && trimmed.startsWith('[')) return parseObject(`{"value":${trimmed}}`)?.value ?? text
  if (types.has('object') && trimmed.startsWith('{')) return parseObject(trimmed) ?? text
  return text
}
