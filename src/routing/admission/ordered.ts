/**
 * An ordered set that knows, at every place, how many items stand before it and what they measure together. A treap
 * (Seidel and Aragon 1996): every function costs the logarithm of the size unless it says otherwise. The heap keys come
 * from a generator with a fixed seed, so that the same calls always build the same tree.
 */
export interface Order<T> {
  /** Below 0 where `a` stands before `b`; 0 only for the same item. What it reads must not change while in the set. */
  compare(a: T, b: T): number
  /** A whole number, so that sums are exact in any order; absent: 0. */
  measure?(item: T): number
}

interface Node<T> {
  item: T
  heapKey: number
  left: Node<T> | undefined
  right: Node<T> | undefined
  /** Of the tree below and including this node. */
  count: number
  sum: number
}

export interface Ordered<T> {
  order: Order<T>
  root: Node<T> | undefined
  seed: number
}

export function createOrdered<T>(order: Order<T>): Ordered<T> {
  return { order, root: undefined, seed: 0x9e3779b9 }
}

/** Puts in an item that is not in the set. */
export function insert<T>(set: Ordered<T>, item: T): void {
  // xorshift32 (Marsaglia 2003).
  let seed = set.seed
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  set.seed = seed
  const sum = set.order.measure?.(item) ?? 0
  set.root = insertBelow(set.order, set.root, {
    item,
    heapKey: seed,
    left: undefined,
    right: undefined,
    count: 1,
    sum,
  })
}

/** Takes an item out; one that is not in the set is ignored. */
export function remove<T>(set: Ordered<T>, item: T): void {
  set.root = removeBelow(set.order, set.root, item)
}

export function sizeOf<T>(set: Ordered<T>): number {
  return set.root?.count ?? 0
}

/** What all items measure together. */
export function sumOf<T>(set: Ordered<T>): number {
  return set.root?.sum ?? 0
}

export function firstOf<T>(set: Ordered<T>): T | undefined {
  let node = set.root
  while (node?.left) node = node.left
  return node?.item
}

export function lastOf<T>(set: Ordered<T>): T | undefined {
  let node = set.root
  while (node?.right) node = node.right
  return node?.item
}

/** The first item behind this one, which need not be in the set. */
export function nextAfter<T>(set: Ordered<T>, item: T): T | undefined {
  let node = set.root
  let found: T | undefined
  while (node) {
    if (set.order.compare(item, node.item) < 0) {
      found = node.item
      node = node.left
    } else {
      node = node.right
    }
  }
  return found
}

/** How many items stand before this one, and what they measure. */
export function before<T>(set: Ordered<T>, item: T): { count: number; sum: number } {
  let sum = 0
  const count = countWhile(set, (other, sumBefore) => {
    if (set.order.compare(other, item) >= 0) return false
    sum = sumBefore + (set.order.measure?.(other) ?? 0)
    return true
  })
  return { count, sum }
}

/**
 * How many items `holds` is true for; it has to be true for a first part of the set and false for the rest.
 * `sumBefore` is what the items before that one measure.
 */
export function countWhile<T>(set: Ordered<T>, holds: (item: T, sumBefore: number) => boolean): number {
  let node = set.root
  let count = 0
  let sum = 0
  while (node) {
    const sumBefore = sum + (node.left?.sum ?? 0)
    if (holds(node.item, sumBefore)) {
      count += 1 + (node.left?.count ?? 0)
      sum = sumBefore + (set.order.measure?.(node.item) ?? 0)
      node = node.right
    } else {
      node = node.left
    }
  }
  return count
}

function insertBelow<T>(order: Order<T>, node: Node<T> | undefined, fresh: Node<T>): Node<T> {
  if (!node) return fresh
  if (fresh.heapKey > node.heapKey) {
    const [left, right] = split(order, node, fresh.item)
    fresh.left = left
    fresh.right = right
    return counted(order, fresh)
  }
  if (order.compare(fresh.item, node.item) < 0) node.left = insertBelow(order, node.left, fresh)
  else node.right = insertBelow(order, node.right, fresh)
  return counted(order, node)
}

function removeBelow<T>(order: Order<T>, node: Node<T> | undefined, item: T): Node<T> | undefined {
  if (!node) return undefined
  const side = order.compare(item, node.item)
  if (side === 0) return join(order, node.left, node.right)
  if (side < 0) node.left = removeBelow(order, node.left, item)
  else node.right = removeBelow(order, node.right, item)
  return counted(order, node)
}

type Tree<T> = Node<T> | undefined

/** What stands before `item`, and what behind it. */
function split<T>(order: Order<T>, node: Tree<T>, item: T): [Tree<T>, Tree<T>] {
  if (!node) return [undefined, undefined]
  if (order.compare(item, node.item) < 0) {
    const [left, right] = split(order, node.left, item)
    node.left = right
    return [left, counted(order, node)]
  }
  const [left, right] = split(order, node.right, item)
  node.right = left
  return [counted(order, node), right]
}

/** One tree of two, the first of which stands wholly before the second. */
function join<T>(order: Order<T>, left: Tree<T>, right: Tree<T>): Tree<T> {
  if (!left || !right) return left ?? right
  if (left.heapKey > right.heapKey) {
    left.right = join(order, left.right, right)
    return counted(order, left)
  }
  right.left = join(order, left, right.left)
  return counted(order, right)
}

function counted<T>(order: Order<T>, node: Node<T>): Node<T> {
  const { left, right } = node
  node.count = 1 + (left?.count ?? 0) + (right?.count ?? 0)
  if (order.measure) node.sum = order.measure(node.item) + (left?.sum ?? 0) + (right?.sum ?? 0)
  return node
}
