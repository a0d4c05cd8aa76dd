/** A look into another process's heap. */
export interface Heap {
  /** Without garbage: it is collected first. */
  usedMib(): Promise<number>
  /** A process that is looked into does not end. */
  close(): void
}

/** Asks a Node process that runs with `--inspect=127.0.0.1:<port>` how much of its heap is in use. */
export async function openHeap(port: number): Promise<Heap> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    webSocketDebuggerUrl: string
  }[]
  if (!target) throw new Error(`no Node process can be inspected at port ${port}`)
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  const waiting = new Map<number, (result: { usedSize: number }) => void>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data))
    waiting.get(id)?.(result)
    waiting.delete(id)
  })
  let lastId = 0
  const call = (method: string) =>
    new Promise<{ usedSize: number }>((resolve) => {
      waiting.set(++lastId, resolve)
      socket.send(JSON.stringify({ id: lastId, method }))
    })
  return {
    async usedMib() {
      await call('HeapProfiler.collectGarbage')
      return (await call('Runtime.getHeapUsage')).usedSize / 2 ** 20
    },
    close: () => socket.close(),
  }
}
