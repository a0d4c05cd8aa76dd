/*
 * How ggml lays the results of a computation into one buffer (`ggml-alloc.c`): in the order of execution, each into the
 * smallest hole that takes it, its memory free again after its last use; some operations overwrite their own input.
 */

/** A result of a computation, or an input to it. */
export interface Tensor {
  readonly bytes: number
  readonly sources: readonly Tensor[]
  /** The tensor whose memory this is another view of. */
  readonly viewOf: Tensor | undefined
  /** May take the memory of a source that nothing else needs. */
  readonly inplace: boolean
  /** Known from the start (`input`), or kept to the end (`output`). */
  readonly role: 'step' | 'input' | 'output'
  uses: number
  views: number
  /** Where it lies; undefined while, or if, it has no memory of this buffer. */
  offset: number | undefined
}

export interface Graph {
  readonly nodes: Tensor[]
  readonly inputs: Tensor[]
  /** Of each input so many are kept to the end, so that batches can overlap; with 1 its memory is used again. */
  readonly inputCopies: number
}

export const createGraph = (inputCopies = 1): Graph => ({ nodes: [], inputs: [], inputCopies })

/** An input of the computation; it has its memory before anything is computed. */
export function input(graph: Graph, bytes: number): Tensor {
  const kept = graph.inputCopies > 1
  const tensor = tensorOf(bytes * graph.inputCopies, [], { role: kept ? 'output' : 'input' })
  graph.inputs.push(tensor)
  return tensor
}

/** A step that computes `bytes` from `sources`. */
export function step(
  graph: Graph,
  bytes: number,
  sources: readonly Tensor[],
  options: { inplace?: boolean; role?: 'output' } = {},
): Tensor {
  const tensor = tensorOf(bytes, sources, options)
  graph.nodes.push(tensor)
  return tensor
}

/** The same memory, or a part of it, in another shape, or with what `others` write into it. */
export function view(graph: Graph, of: Tensor, bytes = of.bytes, others: readonly Tensor[] = []): Tensor {
  const tensor = tensorOf(bytes, [...others, of], { viewOf: of.viewOf ?? of })
  graph.nodes.push(tensor)
  return tensor
}

function tensorOf(
  bytes: number,
  sources: readonly Tensor[],
  { viewOf, inplace = false, role = 'step' }: { viewOf?: Tensor; inplace?: boolean; role?: Tensor['role'] },
): Tensor {
  return { bytes, sources, viewOf, inplace, role, uses: 0, views: 0, offset: undefined }
}

/** Bytes of the buffer that the whole computation needs. A graph is allocated once. */
export function bufferBytes(graph: Graph, alignment = 128): number {
  const heap = createHeap(alignment)
  for (const tensor of graph.inputs) tensor.offset = heap.allocate(tensor.bytes)
  for (const node of graph.nodes) {
    if (node.viewOf) node.viewOf.views++
    for (const source of node.sources) source.uses++
  }
  for (const node of graph.nodes) {
    if (!node.viewOf) node.offset = reusedOffset(node, heap) ?? heap.allocate(node.bytes)
    for (const source of node.sources) release(source, heap)
  }
  return heap.mostBytes()
}

/** The memory of a source that only this node still needs, taken over from it. */
function reusedOffset(node: Tensor, heap: Heap): number | undefined {
  if (!node.inplace) return undefined
  for (const source of node.sources) {
    const owner = source.viewOf ?? source
    const last =
      source === owner
        ? owner.uses === 1 && owner.views === 0
        : source.uses === 1 && source.views === 0 && owner.views === 1 && owner.uses === 0
    if (!last || owner.offset === undefined || owner.role === 'output' || source.bytes !== node.bytes)
      continue
    const { offset } = owner
    owner.offset = undefined
    if (owner.bytes > node.bytes) heap.shrink(offset, owner.bytes, node.bytes)
    return offset
  }
  return undefined
}

function release(source: Tensor, heap: Heap): void {
  source.uses--
  if (source.uses > 0 || source.views > 0) return
  const owner = source.viewOf ?? source
  if (source !== owner) owner.views--
  if (owner.views > 0 || owner.uses > 0 || owner.offset === undefined || owner.role === 'output') return
  heap.free(owner.offset, owner.bytes)
  owner.offset = undefined
}

interface Heap {
  allocate(bytes: number): number
  free(offset: number, bytes: number): void
  /** Gives back the end of an allocation. */
  shrink(offset: number, fromBytes: number, toBytes: number): void
  mostBytes(): number
}

/** Holes by their place; the last one has no end. */
function createHeap(alignment: number): Heap {
  const holes: { offset: number; bytes: number }[] = [{ offset: 0, bytes: Number.POSITIVE_INFINITY }]
  let most = 0
  const aligned = (bytes: number) => Math.ceil(bytes / alignment) * alignment
  const free = (offset: number, bytes: number) => {
    if (bytes <= 0) return
    const next = holes.findIndex((hole) => hole.offset > offset)
    const at = next < 0 ? holes.length : next
    holes.splice(at, 0, { offset, bytes })
    merge(holes, at)
    merge(holes, at - 1)
  }
  return {
    allocate(wanted) {
      const bytes = aligned(wanted)
      if (bytes === 0) return 0
      const hole = bestHole(holes, bytes)
      const { offset } = hole
      hole.offset += bytes
      hole.bytes -= bytes
      if (hole.bytes === 0) holes.splice(holes.indexOf(hole), 1)
      most = Math.max(most, offset + bytes)
      return offset
    },
    free: (offset, bytes) => free(offset, aligned(bytes)),
    shrink: (offset, from, to) => free(offset + aligned(to), aligned(from) - aligned(to)),
    mostBytes: () => most,
  }
}

type Hole = { offset: number; bytes: number }

/** The smallest that is large enough; the one without an end only where no other is. */
function bestHole(holes: readonly Hole[], bytes: number): Hole {
  let best: Hole | undefined
  for (const hole of holes) {
    if (hole.bytes >= bytes && (best === undefined || hole.bytes <= best.bytes)) best = hole
  }
  if (best === undefined) throw new Error(`no hole takes ${bytes} bytes`)
  return best
}

function merge(holes: Hole[], index: number): void {
  const hole = holes[index]
  const next = holes[index + 1]
  if (!hole || !next || hole.offset + hole.bytes !== next.offset) return
  hole.bytes += next.bytes
  holes.splice(index + 1, 1)
}
