import { TemplateError } from './error.ts'
import { describeToken, type Keyword, lex, type Token, type TokenType } from './lex.ts'
import { parseNumber, quote, unquote } from './literals.ts'
import {
  type BranchNode,
  type CommandNode,
  describeNode,
  type GoTemplate,
  type Node,
  type Operand,
  type PipeNode,
} from './nodes.ts'

/** Go allows 10,000 parentheses; its stack grows, ours does not. */
const maxDepth = 400

/**
 * Reads a template, by the grammar and with the wording of Go's `text/template/parse`. `functions` are the names
 * it may call. Throws `TemplateError`.
 */
export function parse(source: string, functions: ReadonlySet<string>): GoTemplate {
  const shared: Shared = {
    tokens: lex(source),
    next: 0,
    furthest: 0,
    depth: 0,
    functions,
    templates: new Map(),
  }
  const root = new Parser(shared, '').parseRoot()
  return { source, root, templates: shared.templates }
}

interface Shared {
  tokens: Token[]
  next: number
  /** The last token that was looked at. */
  furthest: number
  depth: number
  functions: ReadonlySet<string>
  templates: Map<string, Node[]>
}

/** `{{end}}` or `{{else}}`: what stands after a list of nodes. */
interface Terminator {
  type: 'end' | 'else'
}

const operandStarts = new Set<TokenType>([
  'bool',
  'charConstant',
  'complex',
  'dot',
  'field',
  'identifier',
  'leftParen',
  'nil',
  'number',
  'rawString',
  'string',
  'variable',
])
const literals = new Set<string>(['bool', 'string', 'number', 'nil', 'dot'])

/** One template; each `{{define}}` and `{{block}}` has its own, with its own variables, over the same tokens. */
class Parser {
  private readonly shared: Shared
  private readonly name: string
  private readonly variables = ['$']
  private rangeDepth = 0
  private actionLine = 0

  constructor(shared: Shared, name: string) {
    this.shared = shared
    this.name = name
  }

  parseRoot(): Node[] {
    const root: Node[] = []
    while (this.peek().type !== 'eof') {
      if (this.atDefine()) {
        this.definition()
        continue
      }
      const node = this.textOrAction()
      if (isTerminator(node)) this.fail(`unexpected {{${node.type}}}`)
      root.push(node)
    }
    this.add(root)
    return this.shared.templates.get(this.name) ?? root
  }

  // Tokens.

  private next(): Token {
    const { shared } = this
    const last = shared.tokens.length - 1
    const at = Math.min(shared.next++, last)
    if (at > shared.furthest) shared.furthest = at
    return shared.tokens[at] as Token
  }

  private peek(): Token {
    const token = this.next()
    this.shared.next--
    return token
  }

  private nextNonSpace(): Token {
    let token = this.next()
    while (token.type === 'space') token = this.next()
    return token
  }

  /** Spaces before the token are passed for good. */
  private peekNonSpace(): Token {
    const token = this.nextNonSpace()
    this.shared.next--
    return token
  }

  private expect(type: TokenType, context: string): Token {
    const token = this.nextNonSpace()
    return token.type === type ? token : this.unexpected(token, context)
  }

  /** Go names the line of the token it read last, which may be further than the parser is. */
  private fail(complaint: string): never {
    const line = this.shared.tokens[this.shared.furthest]?.line ?? 1
    throw new TemplateError(`template: :${line}: ${complaint}`)
  }

  private unexpected(token: Token, context: string): never {
    if (token.type !== 'error') this.fail(`unexpected ${describeToken(token)} in ${context}`)
    const elsewhere = this.actionLine !== 0 && this.actionLine !== token.line
    const noun = token.text.endsWith(' action') ? '' : ' in action'
    this.fail(token.text + (elsewhere ? `${noun} started at :${this.actionLine}` : ''))
  }

  private attempt<T>(action: () => T): T {
    try {
      return action()
    } catch (error) {
      return this.fail(error instanceof Error ? error.message : String(error))
    }
  }

  private deeper<T>(action: () => T): T {
    if (++this.shared.depth > maxDepth) this.fail('max expression depth exceeded')
    const result = action()
    this.shared.depth--
    return result
  }

  // Templates.

  private atDefine(): boolean {
    const start = this.shared.next
    if (this.next().type === 'leftDelim' && this.nextNonSpace().type === 'define') return true
    this.shared.next = start
    return false
  }

  private definition(): void {
    const name = this.templateName(this.nextNonSpace(), 'define clause')
    this.expect('rightDelim', 'define clause')
    new Parser(this.shared, name).body('define clause')
  }

  private body(context: string): void {
    const { nodes, end } = this.itemList()
    if (end.type !== 'end') this.fail(`unexpected {{${end.type}}} in ${context}`)
    this.add(nodes)
  }

  private templateName(token: Token, context: string): string {
    if (token.type !== 'string' && token.type !== 'rawString') this.unexpected(token, context)
    return this.attempt(() => unquote(token.text))
  }

  private add(nodes: Node[]): void {
    const { templates } = this.shared
    const known = templates.get(this.name)
    if (known === undefined || isEmpty(known)) templates.set(this.name, nodes)
    else if (!isEmpty(nodes)) this.fail(`template: multiple definition of template ${quote(this.name)}`)
  }

  // Nodes.

  private itemList(): { nodes: Node[]; end: Terminator } {
    const nodes: Node[] = []
    while (this.peekNonSpace().type !== 'eof') {
      const node = this.textOrAction()
      if (isTerminator(node)) return { nodes, end: node }
      nodes.push(node)
    }
    return this.fail('unexpected EOF')
  }

  private textOrAction(): Node | Terminator {
    const token = this.nextNonSpace()
    if (token.type === 'text') return { type: 'text', pos: token.pos, text: token.text }
    if (token.type !== 'leftDelim') this.unexpected(token, 'input')
    this.actionLine = token.line
    const node = this.deeper(() => this.action())
    this.actionLine = 0
    return node
  }

  private action(): Node | Terminator {
    const token = this.peekNonSpace()
    const control = this.controls[token.type as Keyword]
    if (control !== undefined) {
      this.nextNonSpace()
      return control(token)
    }
    // Variables declared here live until the enclosing {{end}}.
    return { type: 'action', pos: token.pos, pipe: this.pipeline('command', 'rightDelim') }
  }

  private readonly controls: Partial<Record<Keyword, (token: Token) => Node | Terminator>> = {
    block: () => this.block(),
    break: (token) => this.loopExit('break', token),
    continue: (token) => this.loopExit('continue', token),
    else: () => this.elseControl(),
    end: () => {
      this.expect('rightDelim', 'end')
      return { type: 'end' }
    },
    if: () => this.branch('if'),
    range: () => this.branch('range'),
    template: () => this.template(),
    with: () => this.branch('with'),
  }

  private loopExit(type: 'break' | 'continue', token: Token): Node {
    this.expect('rightDelim', `{{${type}}}`)
    if (this.rangeDepth === 0) this.fail(`{{${type}}} outside {{range}}`)
    return { type, pos: token.pos }
  }

  private elseControl(): Terminator {
    const { type } = this.peekNonSpace()
    // `{{else if` stands for `{{else}}{{if`; the branch goes on from the pending keyword.
    if (type !== 'if' && type !== 'with') this.expect('rightDelim', 'else')
    return { type: 'else' }
  }

  private branch(type: BranchNode['type']): BranchNode {
    const outerVariables = this.variables.length
    const pipe = this.pipeline(type, 'rightDelim')
    if (type === 'range') this.rangeDepth++
    const { nodes: list, end } = this.itemList()
    if (type === 'range') this.rangeDepth--
    const elseList = end.type === 'else' ? this.elseList(type) : undefined
    this.variables.length = outerVariables
    return { type, pos: pipe.pos, pipe, list, elseList }
  }

  private elseList(type: BranchNode['type']): Node[] {
    if (type !== 'range' && this.peekNonSpace().type === type) {
      this.nextNonSpace()
      return [this.deeper(() => this.branch(type))]
    }
    const { nodes, end } = this.itemList()
    if (end.type !== 'end') this.fail(`expected end; found {{${end.type}}}`)
    return nodes
  }

  private block(): Node {
    const token = this.nextNonSpace()
    const name = this.templateName(token, 'block clause')
    const pipe = this.pipeline('block clause', 'rightDelim')
    new Parser(this.shared, name).body('block clause')
    return { type: 'template', pos: token.pos, name, pipe }
  }

  private template(): Node {
    const token = this.nextNonSpace()
    const name = this.templateName(token, 'template clause')
    if (this.peekNonSpace().type === 'rightDelim') {
      this.nextNonSpace()
      return { type: 'template', pos: token.pos, name, pipe: undefined }
    }
    const pipe = this.pipeline('template clause', 'rightDelim')
    return { type: 'template', pos: token.pos, name, pipe }
  }

  // Pipelines.

  private pipeline(context: string, end: 'rightDelim' | 'rightParen'): PipeNode {
    const { pos } = this.peekNonSpace()
    const pipe: PipeNode = { type: 'pipe', pos, variables: [], isAssignment: false, commands: [] }
    this.declarations(pipe, context)
    for (;;) {
      const token = this.peekNonSpace()
      if (token.type === end) break
      if (!operandStarts.has(token.type)) this.unexpected(this.nextNonSpace(), context)
      pipe.commands.push(this.command())
    }
    this.nextNonSpace()
    if (pipe.commands.length === 0) this.fail(`missing value for ${context}`)
    const constant = pipe.commands.findIndex(({ operands }, i) => i > 0 && literals.has(operands[0].type))
    if (constant > 0) this.fail(`non executable command in pipeline stage ${constant + 1}`)
    return pipe
  }

  private declarations(pipe: PipeNode, context: string): void {
    while (this.peekNonSpace().type === 'variable') {
      const start = this.shared.next
      const variable = this.nextNonSpace()
      const token = this.nextNonSpace()
      const isComma = token.type === 'char' && token.text === ','
      if (token.type !== 'assign' && token.type !== 'declare' && !isComma) {
        this.shared.next = start
        return
      }
      pipe.variables.push(variable.text)
      this.variables.push(variable.text)
      if (!isComma) {
        pipe.isAssignment = token.type === 'assign'
        return
      }
      if (context !== 'range' || pipe.variables.length > 1) this.fail(`too many declarations in ${context}`)
      const { type } = this.peekNonSpace()
      if (type !== 'variable' && type !== 'rightDelim' && type !== 'rightParen') {
        this.fail('range can only initialize variables')
      }
    }
  }

  private command(): CommandNode {
    const { pos } = this.peekNonSpace()
    const operands: Operand[] = []
    for (;;) {
      const operand = this.operand()
      if (operand !== undefined) operands.push(operand)
      const token = this.next()
      if (token.type === 'space') continue
      if (token.type === 'rightDelim' || token.type === 'rightParen') this.shared.next--
      else if (token.type !== 'pipe') this.unexpected(token, 'operand')
      break
    }
    const [first, ...others] = operands
    if (first === undefined) this.fail('empty command')
    return { type: 'command', pos, operands: [first, ...others] }
  }

  /** A term and the fields behind it; nothing where the next token begins no term. */
  private operand(): Operand | undefined {
    if (!operandStarts.has(this.peekNonSpace().type)) return undefined
    const term = this.term(this.nextNonSpace())
    const { type, pos } = this.peek()
    if (type !== 'field') return term
    const path: string[] = []
    while (this.peek().type === 'field') path.push(this.next().text.slice(1))
    if (term.type === 'field' || term.type === 'variable') {
      return { ...term, pos, path: [...term.path, ...path] }
    }
    if (literals.has(term.type)) {
      this.fail(`unexpected . after term ${quote(describeNode(term))}`)
    }
    return { type: 'chain', pos, operand: term, path }
  }

  private term(token: Token): Operand {
    const { pos, text } = token
    switch (token.type) {
      case 'identifier':
        if (!this.shared.functions.has(text)) this.fail(`function ${quote(text)} not defined`)
        return { type: 'identifier', pos, name: text }
      case 'dot':
      case 'nil':
        return { type: token.type, pos }
      case 'variable':
        if (!this.variables.includes(text)) this.fail(`undefined variable ${quote(text)}`)
        return { type: 'variable', pos, name: text, path: [] }
      case 'field':
        return { type: 'field', pos, path: [text.slice(1)] }
      case 'bool':
        return { type: 'bool', pos, value: text === 'true' }
      case 'leftParen':
        return this.deeper(() => this.pipeline('parenthesized pipeline', 'rightParen'))
      case 'string':
      case 'rawString':
        return { type: 'string', pos, value: this.attempt(() => unquote(text)), literal: text }
      default:
        return { type: 'number', pos, value: this.attempt(() => parseNumber(text)), literal: text }
    }
  }
}

function isTerminator(node: Node | Terminator): node is Terminator {
  return node.type === 'end' || node.type === 'else'
}

/** Nothing but space: such a definition may be replaced by a later one. */
function isEmpty(nodes: readonly Node[]): boolean {
  return nodes.every((node) => node.type === 'text' && node.text.trim() === '')
}
