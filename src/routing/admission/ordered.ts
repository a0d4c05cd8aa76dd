/**
 * An ordered set that knows, at every place, how many items stand before it and what they measure together. A treap
 * (Seidel and Aragon 1996): every function costs the logarithm of the size. The heap keys come from a generator with a
 * fixed seed, so that the same calls always build the same tree.
 */
export interface Order<T> {
  /** The smaller stands first. Kept beside the item, as reading it there costs less than asking for it. */
  key(item: T): number
  /** Decides where keys are equal: below 0 where `a` stands before `b`; 0 only for the same item. */
  tie(a: T, b: T): number
  /** A whole number, so that sums are exact in any order; absent: 0. */
  measure?(item: T): number
}

/** What an order reads from an item must not change while the item is in the set. */
export interface Ordered<T> {
  order: Order<T>
  root: Node<T> | undefined
  seed: number
}

interface Node<T> {
  item: T
  key: number
  measure: number
  heapKey: number
  left: Node<T> | undefined
  right: Node<T> | undefined
  /** Of the tree below and including this node. */
  count: number
  sum: number
}

export function createOrdered<T>(order: Order<T>): Ordered<T> {
  return { order, root: undefined, seed: 0x9e3779b9 }
}

/** Puts in an item that is not in the set. */
export function insert<T>(set: Ordered<T>, item: T): void {
  const { order } = set
  const fresh = createNode(set, item)
  let parent: Node<T> | undefined
  let node = set.root
  while (node && node.heapKey >= fresh.heapKey) {
    node.count++
    node.sum += fresh.measure
    parent = node
    node = compare(order, fresh, node) < 0 ? node.left : node.right
  }
  if (node) {
    const [left, right] = split(order, node, fresh)
    fresh.left = left
    fresh.right = right
    recount(fresh)
  }
  if (!parent) set.root = fresh
  else if (compare(order, fresh, parent) < 0) parent.left = fresh
  else parent.right = fresh
}

/** Takes an item out; it has to be in the set. */
export function remove<T>(set: Ordered<T>, item: T): void {
  const { order } = set
  const sought = { item, key: order.key(item) }
  const measure = order.measure?.(item) ?? 0
  let parent: Node<T> | undefined
  let node = set.root
  while (node && node.item !== item) {
    node.count--
    node.sum -= measure
    parent = node
    node = compare(order, sought, node) < 0 ? node.left : node.right
  }
  if (!node) throw new RangeError('an item was to be removed from a set that it is not in')
  const rest = join(node.left, node.right)
  if (!parent) set.root = rest
  else if (parent.left === node) parent.left = rest
  else parent.right = rest
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
export function nextAfter<T>({ order, root }: Ordered<T>, item: T): T | undefined {
  const sought = { item, key: order.key(item) }
  let node = root
  let found: T | undefined
  while (node) {
    if (compare(order, sought, node) < 0) {
      found = node.item
      node = node.left
    } else {
      node = node.right
    }
  }
  return found
}

/** How many items stand before this one, which need not be in the set, and what they measure. */
export function before<T>({ order, root }: Ordered<T>, item: T): { count: number; sum: number } {
  const sought = { item, key: order.key(item) }
  let node = root
  let count = 0
  let sum = 0
  while (node) {
    if (compare(order, sought, node) <= 0) {
      node = node.left
    } else {
      count += 1 + (node.left?.count ?? 0)
      sum += node.measure + (node.left?.sum ?? 0)
      node = node.right
    }
  }
  return { count, sum }
}

/**
 * How many items `holds` is true for; it has to be true for a first part of the set and false for the rest.
 * `sumBefore` is what the items before that one measure.
 */
export function countWhile<T>({ root }: Ordered<T>, holds: (item: T, sumBefore: number) => boolean): number {
  let node = root
  let count = 0
  let sum = 0
  while (node) {
    const sumBefore = sum + (node.left?.sum ?? 0)
    if (holds(node.item, sumBefore)) {
      count += 1 + (node.left?.count ?? 0)
      sum = sumBefore + node.measure
      node = node.right
    } else {
      node = node.left
    }
  }
  return count
}

type Placed<T> = Pick<Node<T>, 'item' | 'key'>

function compare<T>(order: Order<T>, a: Placed<T>, b: Placed<T>): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  return order.tie(a.item, b.item)
}

function createNode<T>(set: Ordered<T>, item: T): Node<T> {
  // xorshift32 (Marsaglia 2003).
  let seed = set.seed
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  set.seed = seed
  const measure = set.order.measure?.(item) ?? 0
  return {
    item,
    key: set.order.key(item),
    measure,
    heapKey: seed,
    left: undefined,
    right: undefined,
    count: 1,
    sum: measure,
  }
}

type Tree<T> = Node<T> | undefined

/** What stands before `at`, and what behind it. */
function split<T>(order: Order<T>, node: Tree<T>, at: Placed<T>): [Tree<T>, Tree<T>] {
  if (!node) return [undefined, undefined]
  if (compare(order, at, node) < 0) {
    const [left, right] = split(order, node.left, at)
    node.left = right
    recount(node)
    return [left, node]
  }
  const [left, right] = split(order, node.right, at)
  node.right = left
  recount(node)
  return [node, right]
}

/** One tree of two, the first of which stands wholly before the second. */
function join<T>(left: Tree<T>, right: Tree<T>): Tree<T> {
  if (!left || !right) return left ?? right
  if (left.heapKey > right.heapKey) {
    left.right = join(left.right, right)
    recount(left)
    return left
  }
  right.left = join(left, right.left)
  recount(right)
  return right
}

function recount<T>(node: Node<T>): void {
  const { left, right } = node
  node.count = 1 + (left?.count ?? 0) + (right?.count ?? 0)
  node.sum = node.measure + (left?.sum ?? 0) + (right?.sum ?? 0)
}
