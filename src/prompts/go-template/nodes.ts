import { quote } from './literals.ts'

/** A parsed template. */
export interface GoTemplate {
  readonly source: string
  readonly root: readonly Node[]
  /** What `{{define}}` and `{{block}}` named, and the root under its own name, which is empty. */
  readonly templates: ReadonlyMap<string, readonly Node[]>
}

/** What a template's source says, as a tree. `pos` counts UTF-16 units from the source's start. */
export type Node =
  | { type: 'text'; pos: number; text: string }
  | { type: 'action'; pos: number; pipe: PipeNode }
  | BranchNode
  | { type: 'template'; pos: number; name: string; pipe: PipeNode | undefined }
  | { type: 'break'; pos: number }
  | { type: 'continue'; pos: number }

/** `{{if}}`, `{{with}}` or `{{range}}`. */
export interface BranchNode {
  type: 'if' | 'with' | 'range'
  pos: number
  pipe: PipeNode
  list: Node[]
  elseList: Node[] | undefined
}

/** `$a, $b := command | command`; in parentheses it is also an operand. */
export interface PipeNode {
  type: 'pipe'
  pos: number
  variables: string[]
  /** `=` instead of `:=`. */
  isAssignment: boolean
  commands: CommandNode[]
}

/** Operands beside each other: the first is called with the others. Never empty. */
export interface CommandNode {
  type: 'command'
  pos: number
  operands: [Operand, ...Operand[]]
}

export type Operand =
  | PipeNode
  | FieldNode
  | VariableNode
  | ChainNode
  | { type: 'identifier'; pos: number; name: string }
  | { type: 'dot'; pos: number }
  | { type: 'nil'; pos: number }
  | { type: 'bool'; pos: number; value: boolean }
  | { type: 'number'; pos: number; value: bigint | number; literal: string }
  | { type: 'string'; pos: number; value: string; literal: string }

/** `.A.B`: the names of `path`, looked up one in the other. */
export interface FieldNode {
  type: 'field'
  pos: number
  path: string[]
}

/** `$name.A.B`; `name` has its dollar sign. */
export interface VariableNode {
  type: 'variable'
  pos: number
  name: string
  path: string[]
}

/** `(pipe).A.B`. */
export interface ChainNode {
  type: 'chain'
  pos: number
  operand: Operand
  path: string[]
}

/** A node as Go's errors quote it. */
export function describeNode(node: Node | PipeNode | CommandNode | Operand): string {
  switch (node.type) {
    case 'action':
      return `{{${describeNode(node.pipe)}}}`
    case 'pipe':
      return describePipe(node)
    case 'command':
      return node.operands.map(describeOperand).join(' ')
    case 'field':
      return node.path.map((name) => `.${name}`).join('')
    case 'variable':
      return [node.name, ...node.path].join('.')
    case 'chain':
      return [describeOperand(node.operand), ...node.path].join('.')
    case 'identifier':
      return node.name
    case 'dot':
      return '.'
    case 'bool':
      return String(node.value)
    case 'number':
    case 'string':
      return node.literal
    case 'template':
      return `{{template ${quote(node.name)}${node.pipe ? ` ${describePipe(node.pipe)}` : ''}}}`
    default:
      return node.type
  }
}

function describePipe(pipe: PipeNode): string {
  const declared = pipe.variables.join(', ')
  const commands = pipe.commands.map(describeNode).join(' | ')
  return declared === '' ? commands : `${declared} ${pipe.isAssignment ? '=' : ':='} ${commands}`
}

function describeOperand(operand: Operand): string {
  return operand.type === 'pipe' ? `(${describePipe(operand)})` : describeNode(operand)
}
