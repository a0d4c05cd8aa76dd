import { execute } from './execute.ts'
import { builtins, type GoFunction } from './functions.ts'
import type { GoTemplate } from './nodes.ts'
import { parse } from './parse.ts'

export { TemplateError } from './error.ts'
export { type GoFunction, ollamaFunctions } from './functions.ts'
export { goJson, jsonEntries } from './json.ts'
export type { BranchNode, CommandNode, GoTemplate, Node, Operand, PipeNode } from './nodes.ts'
export { type GoField, type GoList, type GoMap, type GoType, type GoValue, goType, isList } from './values.ts'
export { execute }

/**
 * Reads a template that may call Go's own functions and `functions`. Throws `TemplateError` with the text Go's
 * `text/template` gives, such as `template: :1: unexpected "}" in operand`.
 */
export function parseTemplate(
  source: string,
  functions: ReadonlyMap<string, GoFunction> = new Map(),
): GoTemplate {
  return parse(source, new Set([...builtins.keys(), ...functions.keys()]))
}
