import { TemplateError } from './error.ts'
import { formatValue } from './format.ts'
import { builtins, type GoFunction } from './functions.ts'
import { quote } from './literals.ts'
import {
  type BranchNode,
  type ChainNode,
  type CommandNode,
  describeNode,
  type FieldNode,
  type GoTemplate,
  type Node,
  type Operand,
  type PipeNode,
  type VariableNode,
} from './nodes.ts'
import {
  type GoMap,
  type GoValue,
  isList,
  isObject,
  isStruct,
  isTrue,
  sortedKeys,
  typeName,
} from './values.ts'

/** A template comes from outside: these keep one that loops or calls itself from stopping the process. */
const maxSteps = 2_000_000
const maxOutputChars = 64 * 1024 * 1024
const maxTemplateDepth = 200

/**
 * Executes a template on `data` and returns its output. Missing keys of maps give nil (`missingkey=zero`).
 * `functions` are those known beside Go's own. Throws `TemplateError` in Go's words.
 */
export function execute(
  template: GoTemplate,
  data: GoValue,
  functions: ReadonlyMap<string, GoFunction> = new Map(),
): string {
  const execution = new Execution(template, functions)
  try {
    execution.run(data)
  } catch (error) {
    // Only data nested past any use reaches this.
    if (error instanceof RangeError) throw new TemplateError('template: exceeded maximum depth')
    throw error
  }
  return execution.output
}

/** Told from `undefined`, which is a value a pipeline can pass on. */
const missing = Symbol('missing')
type Final = GoValue | typeof missing

type Exit = 'break' | 'continue' | undefined
type PathNode = FieldNode | VariableNode | ChainNode
type ErrorNode = Node | PipeNode | CommandNode | Operand

class Execution {
  output = ''
  private readonly template: GoTemplate
  private readonly functions: ReadonlyMap<string, GoFunction>
  private name = ''
  private node: ErrorNode | undefined
  private variables: { name: string; value: GoValue }[] = []
  private depth = 0
  private steps = 0

  constructor(template: GoTemplate, functions: ReadonlyMap<string, GoFunction>) {
    this.template = template
    this.functions = functions
  }

  run(data: GoValue): void {
    this.variables = [{ name: '$', value: data }]
    this.list(data, this.template.root)
  }

  private fail(complaint: string): never {
    const { source } = this.template
    const pos = this.node?.pos ?? 0
    const lineStart = source.lastIndexOf('\n', pos - 1) + 1
    const line = source.slice(0, lineStart).split('\n').length
    const column = Buffer.byteLength(source.slice(pos === 0 ? 0 : lineStart, pos))
    const context = this.node === undefined ? '' : describeNode(this.node)
    throw new TemplateError(
      `template: :${line}:${column}: executing ${quote(this.name)} at <${context}>: ${complaint}`,
    )
  }

  private write(text: string): void {
    this.output += text
    if (this.output.length > maxOutputChars) this.fail(`output exceeds ${maxOutputChars} characters`)
  }

  // Nodes.

  private list(dot: GoValue, nodes: readonly Node[]): Exit {
    for (const node of nodes) {
      const exit = this.walk(dot, node)
      if (exit !== undefined) return exit
    }
    return undefined
  }

  private walk(dot: GoValue, node: Node): Exit {
    this.node = node
    if (++this.steps > maxSteps) this.fail(`exceeded ${maxSteps} steps`)
    switch (node.type) {
      case 'text':
        this.write(node.text)
        return undefined
      case 'action': {
        const value = this.pipeline(dot, node.pipe)
        this.node = node
        if (node.pipe.variables.length === 0)
          this.write(value === undefined ? '<no value>' : formatValue(value))
        return undefined
      }
      case 'range':
        return this.range(dot, node)
      case 'template':
        return this.call(dot, node)
      case 'break':
      case 'continue':
        return node.type
      default:
        return this.ifOrWith(dot, node)
    }
  }

  private ifOrWith(dot: GoValue, node: BranchNode): Exit {
    const mark = this.variables.length
    const value = this.pipeline(dot, node.pipe)
    let exit: Exit
    if (isTrue(value)) exit = this.list(node.type === 'with' ? value : dot, node.list)
    else if (node.elseList !== undefined) exit = this.list(dot, node.elseList)
    this.variables.length = mark
    return exit
  }

  private range(dot: GoValue, node: BranchNode): Exit {
    const mark = this.variables.length
    const value = this.pipeline(dot, node.pipe)
    const rounds = this.rounds(value, node.pipe.variables.length)
    const body = this.variables.length
    let exit: Exit
    let ran = false
    for (const [key, item] of rounds) {
      ran = true
      if (++this.steps > maxSteps) this.fail(`exceeded ${maxSteps} steps`)
      this.setRangeVariables(node.pipe, key, item)
      exit = this.list(item, node.list)
      this.variables.length = body
      if (exit === 'break') break
    }
    // Whatever left the body was meant for this loop.
    exit = !ran && node.elseList !== undefined ? this.list(dot, node.elseList) : undefined
    this.variables.length = mark
    return exit
  }

  private rounds(value: GoValue, variableCount: number): Iterable<[GoValue, GoValue]> {
    if (value === undefined || value === null) return []
    if (isList(value)) return listRounds(value)
    if (isObject(value) && !isStruct(value)) return mapRounds(value)
    if (typeof value !== 'bigint') this.fail(`range can't iterate over ${formatValue(value)}`)
    if (variableCount > 1) this.fail(`can't use ${value} to iterate over more than one variable`)
    return countRounds(value)
  }

  private setRangeVariables(pipe: PipeNode, key: GoValue, item: GoValue): void {
    const [first, second] = pipe.variables
    if (first === undefined) return
    const values: [string, GoValue][] =
      second === undefined
        ? [[first, item]]
        : [
            [first, key],
            [second, item],
          ]
    for (const [name, value] of values) this.assign(name, value)
  }

  private call(dot: GoValue, node: Node & { type: 'template' }): Exit {
    const nodes = this.template.templates.get(node.name)
    if (nodes === undefined) this.fail(`template ${quote(node.name)} not defined`)
    if (this.depth === maxTemplateDepth) this.fail(`exceeded maximum template depth (${maxTemplateDepth})`)
    const data = node.pipe === undefined ? undefined : this.pipeline(dot, node.pipe)
    const { name, variables } = this
    this.name = node.name
    this.variables = [{ name: '$', value: data }]
    this.depth++
    this.list(data, nodes)
    this.depth--
    this.name = name
    this.variables = variables
    return undefined
  }

  // Variables: the last declared of a name counts.

  private lookUp(name: string): { name: string; value: GoValue } {
    const variable = this.variables.findLast((candidate) => candidate.name === name)
    return variable ?? this.fail(`undefined variable: ${name}`)
  }

  private assign(name: string, value: GoValue): void {
    this.lookUp(name).value = value
  }

  // Pipelines.

  private pipeline(dot: GoValue, pipe: PipeNode): GoValue {
    this.node = pipe
    let value: Final = missing
    for (const command of pipe.commands) value = this.command(dot, command, value) ?? undefined
    const result = value === missing ? undefined : value
    for (const name of pipe.variables) {
      if (pipe.isAssignment) this.assign(name, result)
      else this.variables.push({ name, value: result })
    }
    return result
  }

  private command(dot: GoValue, command: CommandNode, final: Final): GoValue {
    const { operands } = command
    const [first] = operands
    const hasArguments = operands.length > 1 || final !== missing
    switch (first.type) {
      case 'field':
      case 'chain':
        return this.path(dot, first, hasArguments)
      case 'variable':
        if (first.path.length > 0) return this.path(dot, first, hasArguments)
        break
      case 'identifier':
        this.node = first
        return this.function(dot, first.name, operands.slice(1), final, command)
      case 'nil':
        this.node = first
        this.refuseArguments(first, hasArguments)
        return this.fail('nil is not a command')
      default:
    }
    if (first.type !== 'pipe') this.node = first
    this.refuseArguments(first, hasArguments)
    return this.operand(dot, first)
  }

  private refuseArguments(first: Operand, hasArguments: boolean): void {
    if (hasArguments) this.fail(`can't give argument to non-function ${describeNode(first)}`)
  }

  /** An operand's value where any value will do. */
  private operand(dot: GoValue, operand: Operand): GoValue {
    this.node = operand
    switch (operand.type) {
      case 'dot':
        return dot
      case 'nil':
        return null
      case 'bool':
      case 'string':
        return operand.value
      case 'number':
        if (typeof operand.value === 'bigint' && operand.value >= 1n << 63n) {
          this.fail(`${operand.literal} overflows int`)
        }
        return operand.value
      case 'pipe':
        return this.pipeline(dot, operand)
      case 'identifier':
        return this.function(dot, operand.name, [], missing, operand)
      case 'variable':
        if (operand.path.length === 0) return this.lookUp(operand.name).value
    }
    return this.path(dot, operand, false)
  }

  // Fields.

  private path(dot: GoValue, operand: PathNode, hasArguments: boolean): GoValue {
    this.node = operand
    let value = this.receiver(dot, operand)
    let type = typeName(value)
    operand.path.forEach((name, i) => {
      const next = this.field(value, type, name, hasArguments && i === operand.path.length - 1)
      // What a struct holds has a type of its own; a map holds `any`.
      type = isStruct(value) ? typeName(next) : 'interface {}'
      value = next
    })
    return value
  }

  private receiver(dot: GoValue, operand: PathNode): GoValue {
    if (operand.type === 'field') return dot
    if (operand.type === 'variable') return this.lookUp(operand.name).value
    if (operand.operand.type === 'nil')
      this.fail(`indirection through explicit nil in ${describeNode(operand)}`)
    return this.operand(dot, operand.operand) ?? undefined
  }

  private field(value: GoValue, type: string, name: string, hasArguments: boolean): GoValue {
    if (value === undefined) return undefined
    if (value === null) this.fail(`nil pointer evaluating interface {}.${name}`)
    if (!isObject(value)) return this.fail(`can't evaluate field ${name} in type ${type}`)
    if (isStruct(value)) {
      if (!Object.hasOwn(value, name)) this.fail(`can't evaluate field ${name} in type ${type}`)
      if (hasArguments) this.fail(`${name} has arguments but cannot be invoked as function`)
    } else if (hasArguments) this.fail(`${name} is not a method but has arguments`)
    return Object.hasOwn(value, name) ? value[name] : null
  }

  // Functions.

  private function(dot: GoValue, name: string, operands: Operand[], final: Final, node: ErrorNode): GoValue {
    const callee = this.functions.get(name) ?? builtins.get(name)
    if (callee === undefined) this.fail(`${quote(name)} is not a defined function`)
    this.checkCount(callee, name, operands.length, final !== missing)
    if (name === 'and' || name === 'or') return this.shortCircuit(dot, name, operands, final)
    const args = operands.map((operand, i) => this.argument(dot, operand, parameter(callee, i)))
    if (final !== missing) args.push(this.accept(final, parameter(callee, args.length)))
    try {
      return callee.call(...args)
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error
      this.node = node
      return this.fail(`error calling ${name}: ${error.message}`)
    }
  }

  private checkCount(callee: GoFunction, name: string, given: number, hasFinal: boolean): void {
    const { params, variadic } = callee
    const count = given + (hasFinal ? 1 : 0)
    if (variadic && count < params.length - 1) {
      this.fail(`wrong number of args for ${name}: want at least ${params.length - 1} got ${given}`)
    }
    if (!variadic && count !== params.length) {
      this.fail(`wrong number of args for ${name}: want ${params.length} got ${count}`)
    }
  }

  private shortCircuit(dot: GoValue, name: 'and' | 'or', operands: Operand[], final: Final): GoValue {
    let value: GoValue
    for (const operand of operands) {
      value = this.argument(dot, operand, 'value')
      if (isTrue(value) === (name === 'or')) return value
    }
    return final === missing ? value : this.accept(final, 'value')
  }

  private argument(dot: GoValue, operand: Operand, type: GoFunction['params'][number]): GoValue {
    this.node = operand
    if (type === 'string' && operand.type === 'nil') this.fail('cannot assign nil to string')
    if (type === 'string' && (operand.type === 'number' || operand.type === 'bool')) {
      this.fail(`expected string; found ${describeNode(operand)}`)
    }
    return this.accept(this.operand(dot, operand), type)
  }

  private accept(value: GoValue, type: GoFunction['params'][number]): GoValue {
    if (type === 'string' && typeof value !== 'string') {
      if (value === undefined) this.fail('invalid value; expected string')
      this.fail(`wrong type for value; expected string; got ${typeName(value)}`)
    }
    return value ?? null
  }
}

function parameter(callee: GoFunction, place: number): GoFunction['params'][number] {
  return callee.params[Math.min(place, callee.params.length - 1)] ?? 'any'
}

function* listRounds(list: readonly GoValue[]): Iterable<[GoValue, GoValue]> {
  for (let i = 0; i < list.length; i++) yield [BigInt(i), list[i]]
}

function* mapRounds(map: GoMap): Iterable<[GoValue, GoValue]> {
  for (const key of sortedKeys(map)) yield [key, map[key]]
}

function* countRounds(count: bigint): Iterable<[GoValue, GoValue]> {
  for (let i = 0n; i < count; i++) yield [undefined, i]
}
