/** What a heap orders: it knows where it lies. */
export interface HeapNode {
  heapIndex: number
}

/** A binary heap whose nodes may change their order: every operation costs the logarithm. */
export interface BacklogHeap<Node extends HeapNode> {
  size(): number
  add(node: Node): void
  remove(node: Node): void
  /** What the node is ordered by has changed. */
  moved(node: Node): void
  /** The first `count` nodes that `accepts`, smallest first; looks at no more than `most` nodes. */
  smallest(count: number, most: number, accepts: (node: Node) => boolean): Node[]
}

/** `isBefore`: a total order. */
export function createBacklogHeap<Node extends HeapNode>(
  isBefore: (a: Node, b: Node) => boolean,
): BacklogHeap<Node> {
  const nodes: Node[] = []

  function put(node: Node, index: number): void {
    nodes[index] = node
    node.heapIndex = index
  }

  function rise(node: Node): void {
    let index = node.heapIndex
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = nodes[parentIndex] as Node
      if (!isBefore(node, parent)) break
      put(parent, index)
      index = parentIndex
    }
    put(node, index)
  }

  function sink(node: Node): void {
    let index = node.heapIndex
    for (;;) {
      const child = smallerChild(index)
      if (!child || !isBefore(child, node)) break
      const childIndex = child.heapIndex
      put(child, index)
      index = childIndex
    }
    put(node, index)
  }

  function smallerChild(index: number): Node | undefined {
    const left = nodes[2 * index + 1]
    const right = nodes[2 * index + 2]
    return left && right && isBefore(right, left) ? right : left
  }

  /** The frontier holds a few dozen nodes at most: looking through it is cheaper than keeping it ordered. */
  function takeSmallest(frontier: Node[]): Node {
    let best = 0
    for (let index = 1; index < frontier.length; index++) {
      if (isBefore(frontier[index] as Node, frontier[best] as Node)) best = index
    }
    const node = frontier[best] as Node
    const last = frontier.pop() as Node
    if (last !== node) frontier[best] = last
    return node
  }

  return {
    size: () => nodes.length,
    add(node) {
      node.heapIndex = nodes.length
      nodes.push(node)
      rise(node)
    },
    remove(node) {
      const last = nodes.pop()
      if (!last || last === node) return
      put(last, node.heapIndex)
      rise(last)
      sink(last)
    },
    moved(node) {
      rise(node)
      sink(node)
    },
    smallest(count, most, accepts) {
      const found: Node[] = []
      const frontier: Node[] = nodes[0] ? [nodes[0]] : []
      for (let looked = 0; looked < most && found.length < count && frontier.length > 0; looked++) {
        const node = takeSmallest(frontier)
        if (accepts(node)) found.push(node)
        const left = nodes[2 * node.heapIndex + 1]
        const right = nodes[2 * node.heapIndex + 2]
        if (left) frontier.push(left)
        if (right) frontier.push(right)
      }
      return found
    },
  }
}
