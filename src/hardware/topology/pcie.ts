import type { Device } from '../contract.ts'

/** A PCIe link as it runs under load, with what it could be. */
export interface RunningPcie {
  generation: number
  width: number
  maxGeneration: number
  maxWidth: number
  /** From the table, not from the machine. */
  assumed: boolean
}

/** Above this share of time at work a card has its link at full speed. */
const busyShare = 0.05

/**
 * The link of a card: cards at rest lower the generation to save power and raise it with work, while lanes that are
 * missing stay missing. So a card seen at work has what it shows, one at rest the generation that it could have.
 * Undefined where neither machine nor table tells, and of a link that is down.
 */
export function runningPcie({ pcie = {}, facts, sensors }: Device): RunningPcie | undefined {
  const busy = (sensors?.utilization ?? 0) > busyShare
  const maxGeneration = pcie.maxGeneration ?? pcie.generation ?? facts.pcie?.generation
  const maxWidth = pcie.maxWidth ?? pcie.width ?? facts.pcie?.width
  if (!maxGeneration || !maxWidth || pcie.width === 0) return undefined
  const now = pcie.generation ?? maxGeneration
  return {
    generation: busy ? now : Math.max(now, maxGeneration),
    width: pcie.width ?? maxWidth,
    maxGeneration,
    maxWidth,
    assumed: pcie.width === undefined || (pcie.generation === undefined && pcie.maxGeneration === undefined),
  }
}

/** Whether lanes or speed are missing to what card and slot could do. */
export function isSlow({ generation, width, maxGeneration, maxWidth }: RunningPcie): boolean {
  return generation < maxGeneration || width < maxWidth
}

/** `PCIe 4.0 x16`, `PCIe 4.0 x4 of x16`, `PCIe 3.0 of 4.0 x16`. */
export function pcieText({ generation, width, maxGeneration, maxWidth }: RunningPcie): string {
  const speed = `PCIe ${generation}.0${generation < maxGeneration ? ` of ${maxGeneration}.0` : ''}`
  return `${speed} x${width}${width < maxWidth ? ` of x${maxWidth}` : ''}`
}

/** 10^9 bytes a second of one lane each way, by generation, after encoding (PCI-SIG base specifications). */
const laneGbPerSecond: readonly number[] = [0, 0.25, 0.5, 0.985, 1.969, 3.938, 7.56]

/** Raw 10^9 bytes a second each way of a link; a generation newer than the known counts as the newest of them. */
export function pcieGbPerSecond(generation: number, width: number): number {
  const known = Math.min(Math.max(Math.trunc(generation), 1), laneGbPerSecond.length - 1)
  return (laneGbPerSecond[known] ?? 0) * width
}
