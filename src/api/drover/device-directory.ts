import type { Device, Health, Link, Sensors } from '../../hardware/index.ts'

/** An instance as it stands on a device. */
export interface DeviceInstance {
  /** Its number, as `X-Drover-Instance` tells it. */
  instance: number
  model: string
  engine: string
  pid: number
  state: 'loading' | 'ready' | 'closing'
  /** Requests it runs at once, and those that it runs now. */
  slots: number
  running: number
  /** Memory that it takes of this device. */
  bytes: number
}

/** A device with how it is and what it does. */
export interface DeviceStatus extends Device {
  health: Health
  /** As they are now. */
  sensors?: Sensors
  /** Whether models are put on it, and if not, why. */
  used: boolean
  unusedReason?: string
  instances: DeviceInstance[]
  /** Of one that another machine lends: where that is, and how far away, where that was measured. */
  network?: { address: string; roundTripMs?: number; bytesPerS?: number }
}

export interface DeviceReport {
  devices: DeviceStatus[]
  links: Link[]
  /** What a person should know of, each with what to do. */
  problems: string[]
}

/** The devices of this node. */
export interface DeviceDirectory {
  report(): Promise<DeviceReport>
}
