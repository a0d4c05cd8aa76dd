import type { BranchNode, Node, Operand, PipeNode } from './go-template/index.ts'

/** Questions that Ollama asks of a template's tree, answered as its `template`, `thinking` and `tools` packages do. */

/** Every field and variable name a template mentions, in lower case. */
export function mentionedNames(nodes: readonly Node[]): Set<string> {
  const names = new Set<string>()
  const addPipe = (pipe: PipeNode | undefined): void => {
    for (const { operands } of pipe?.commands ?? []) {
      for (const operand of operands) {
        if (operand.type === 'pipe') addPipe(operand)
        else if (operand.type === 'field' || operand.type === 'variable') {
          for (const name of operand.path) names.add(name.toLowerCase())
        }
      }
    }
  }
  const addNodes = (list: readonly Node[] | undefined): void => {
    for (const node of list ?? []) {
      if ('pipe' in node) addPipe(node.pipe)
      if ('list' in node) {
        addNodes(node.list)
        addNodes(node.elseList)
      }
    }
  }
  addNodes(nodes)
  return names
}

function operandsOf(pipe: PipeNode): Operand[] {
  return pipe.commands
    .flatMap(({ operands }) => operands)
    .flatMap((operand) => (operand.type === 'pipe' ? [operand, ...operandsOf(operand)] : [operand]))
}

function usesField(pipe: PipeNode, name: string): boolean {
  return operandsOf(pipe).some((operand) => operand.type === 'field' && operand.path[0] === name)
}

/**
 * The tags around thinking: where a range over `.Messages` mentions `.Thinking`, the texts that begin and end the
 * list of nodes it stands in. The last such place counts.
 */
export function inferThinkTags(nodes: readonly Node[]): { open: string; close: string } | undefined {
  const tags = { open: '', close: '' }
  const look = (pipe: PipeNode, list: readonly Node[], inMessages: boolean): void => {
    if (!inMessages || !usesField(pipe, 'Thinking')) return
    const first = list[0]
    const last = list.at(-1)
    if (first?.type === 'text') tags.open = first.text.trim()
    if (last?.type === 'text') tags.close = last.text.trim()
  }
  const walk = (list: readonly Node[], inMessages: boolean): void => {
    for (const node of list) {
      if ('list' in node) {
        const within = node.type === 'range' ? usesField(node.pipe, 'Messages') : inMessages
        look(node.pipe, list, within)
        walk(node.list, within)
        walk(node.elseList ?? [], within)
      } else if ('pipe' in node && node.pipe !== undefined) look(node.pipe, list, inMessages)
    }
  }
  walk(nodes, false)
  return tags.open !== '' && tags.close !== '' ? tags : undefined
}

/** The text that begins a tool call: the first that follows `{{ if .ToolCalls }}`, up to its first `{`. */
export function inferToolTag(nodes: readonly Node[]): string {
  const branch = findToolCalls(nodes)
  const text = branch === undefined ? undefined : firstText(branch.list)
  const tag = (text ?? '').replaceAll('\r\n', '\n').split('{')[0]?.trim()
  return tag || '{'
}

function findToolCalls(nodes: readonly Node[]): BranchNode | undefined {
  for (const node of nodes) {
    if (!('list' in node)) continue
    if (node.type === 'if' && mentionsToolCalls(node.pipe)) return node
    const found = findToolCalls(node.list) ?? findToolCalls(node.elseList ?? [])
    if (found !== undefined) return found
  }
  return undefined
}

function mentionsToolCalls(pipe: PipeNode): boolean {
  return pipe.commands.some(({ operands }) =>
    operands.some((operand) => operand.type === 'field' && operand.path.includes('ToolCalls')),
  )
}

/** The first text that is not blank; what stands behind an action is no longer the tag. */
function firstText(nodes: readonly Node[]): string | undefined {
  for (const node of nodes) {
    if (node.type === 'text' && node.text.trim() !== '') return node.text
    if ('list' in node) return firstText(node.list) ?? firstText(node.elseList ?? [])
    if (node.type === 'action') return undefined
  }
  return undefined
}

/** The template up to its first `.Response`, itself included: what is rendered before the model goes on. */
export function cutAfterResponse(nodes: readonly Node[]): Node[] {
  return cutList(nodes, { done: false })
}

interface Cut {
  done: boolean
}

function cutList(nodes: readonly Node[], cut: Cut): Node[] {
  const kept: Node[] = []
  for (const node of nodes) {
    if (cut.done) break
    kept.push(cutNode(node, cut))
  }
  return kept
}

function cutNode(node: Node, cut: Cut): Node {
  if (node.type === 'action') return { ...node, pipe: cutPipe(node.pipe, cut) }
  if (!('list' in node)) return node
  const list = cutList(node.list, cut)
  const elseList = cut.done || node.elseList === undefined ? undefined : cutList(node.elseList, cut)
  return { ...node, list, elseList }
}

function cutPipe(pipe: PipeNode, cut: Cut): PipeNode {
  const commands = []
  for (const command of pipe.commands) {
    if (cut.done) break
    const [first, ...others] = command.operands
    const kept: [Operand, ...Operand[]] = [cutOperand(first, cut)]
    for (const operand of others) if (!cut.done) kept.push(cutOperand(operand, cut))
    commands.push({ ...command, operands: kept })
  }
  return { ...pipe, commands }
}

function cutOperand(operand: Operand, cut: Cut): Operand {
  if (operand.type === 'pipe') return cutPipe(operand, cut)
  if (operand.type === 'field' && operand.path.includes('Response')) cut.done = true
  return operand
}
