import { describe, expect, it } from 'vitest'
import { createSlotQueue } from './slots.ts'

const never = new AbortController().signal

describe('the queue for slots', () => {
  it('lets in as many as there are slots, the others in the order they came', async () => {
    const queue = createSlotQueue(2)
    const order: number[] = []
    const entered = [0, 1, 2, 3].map((index) => queue.acquire(never).then(() => order.push(index)))
    await Promise.all(entered.slice(0, 2))
    expect(queue.load()).toEqual({ running: 2, waiting: 2 })
    queue.release()
    await entered[2]
    expect(order).toEqual([0, 1, 2])
    queue.release()
    await entered[3]
    expect(queue.load()).toEqual({ running: 2, waiting: 0 })
  })

  it('forgets who aborts while waiting, and refuses who has aborted before', async () => {
    const queue = createSlotQueue(1)
    await queue.acquire(never)
    const control = new AbortController()
    const waiting = queue.acquire(control.signal)
    const behind = queue.acquire(never)
    control.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    queue.release()
    await behind
    expect(queue.load()).toEqual({ running: 1, waiting: 0 })
    await expect(queue.acquire(control.signal)).rejects.toThrow('gone')
  })

  it('refuses all once closed, and tells when the last has left', async () => {
    const queue = createSlotQueue(1)
    await queue.acquire(never)
    const waiting = queue.acquire(never)
    let idle = false
    const isIdle = queue.idle().then(() => {
      idle = true
    })
    queue.close(() => new Error('closed'))
    await expect(waiting).rejects.toThrow('closed')
    await expect(queue.acquire(never)).rejects.toThrow('closed')
    expect(idle).toBe(false)
    queue.release()
    await isIdle
    expect(queue.load()).toEqual({ running: 0, waiting: 0 })
  })

  it('lets in who would not wait only where a slot is free', async () => {
    const queue = createSlotQueue(1)
    expect(queue.tryAcquire()).toBe(true)
    expect(queue.tryAcquire()).toBe(false)
    queue.release()
    expect(queue.tryAcquire()).toBe(true)
    queue.release()
    queue.close(() => new Error('closed'))
    expect(queue.tryAcquire()).toBe(false)
  })
})
