import { describe, expect, it } from 'vitest'
import { eventsOf, parseXid } from './kernel-log.ts'
import { judgeEvent, knownXids, xidInfo, xidVerdict } from './xid.ts'

describe('parseXid', () => {
  it.each([
    ['NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.', 79, '0000:3b:00.0'],
    ['6,812,1234,-;NVRM: Xid (PCI:0000:01:00): 31, pid=9, name=x, MMU Fault', 31, '0000:01:00.0'],
    ['Feb 01 14:25:31 box kernel: NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, Contained', 94, '0000:01:00.0'],
    ['[12.5] NVRM: Xid (0000:03:00): 62, 00000a9f 00000a85', 62, '0000:03:00.0'],
    ['NVRM: Xid (PCI:0018:01:00): 149, NETIR Fatal XC0', 149, '0018:01:00.0'],
  ])('reads "%s"', (line, code, pciAddress) => {
    expect(parseXid(line)).toMatchObject({ kind: 'xid', code, pciAddress })
  })

  it('reads errors of NVSwitches, and cards that are gone without an Xid', () => {
    expect(
      parseXid('nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 30 LTSSM Fault Up'),
    ).toEqual({
      kind: 'sxid',
      code: 20034,
      pciAddress: '0000:05:00.0',
      text: 'SXid 20034: Fatal, Link 30 LTSSM Fault Up',
    })
    expect(parseXid('NVRM: GPU 0000:06:00.0: GPU has fallen off the bus.')).toMatchObject({
      kind: 'fallen_off_bus',
      pciAddress: '0000:06:00.0',
    })
    const broken =
      'NVRM: The NVIDIA GPU 0000:b3:00.0\n  NVRM: installed in this system has\n  NVRM: fallen off the bus and'
    expect(eventsOf(broken)).toHaveLength(1)
    expect(parseXid(broken.replaceAll('\n', '\\x0a'))).toMatchObject({ pciAddress: '0000:b3:00.0' })
  })

  it('passes over lines that tell of no fault', () => {
    for (const line of [
      '',
      'NVRM: GPU at PCI:0000:9b:00: GPU-50',
      'usb 1-1: Xid (PCI:0): no',
      'NVRM: loading NVIDIA UNIX',
    ]) {
      expect(parseXid(line)).toBeUndefined()
    }
  })
})

describe('xidVerdict', () => {
  it.each([
    [13, '', 'harmless'],
    [63, '', 'degraded'],
    [48, '', 'failing'],
    [79, '', 'lost'],
    [131, '', 'harmless'],
    [145, 'RLW_REMAP Nonfatal XC0', 'degraded'],
    [145, 'RLW_REMAP Fatal XC0', 'failing'],
    [154, 'GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)', 'failing'],
    [154, 'GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)', 'harmless'],
    [154, 'GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)', 'degraded'],
    [99999, '', 'degraded'],
  ])('judges %i "%s" as %s', (code, text, severity) => {
    expect(xidVerdict(code, text).severity).toBe(severity)
  })

  it('has a meaning and an advice for every code', () => {
    for (const code of knownXids) {
      const { meaning, advice } = xidVerdict(code, '')
      expect(meaning.length, String(code)).toBeGreaterThan(5)
      expect(advice.length, String(code)).toBeGreaterThan(5)
    }
  })

  it('tells faults of programs from news', () => {
    expect(xidInfo(31).severity).toBe('application')
    expect(xidInfo(106).severity).toBe('none')
    expect(xidInfo(79).severity).toBe('lost')
  })

  it('judges events without a number by their words', () => {
    expect(judgeEvent({ kind: 'sxid', text: 'SXid 12028: Non-fatal, Link 32' })?.severity).toBe('degraded')
    expect(judgeEvent({ kind: 'sxid', text: 'SXid 20034: Fatal, Link 30' })?.severity).toBe('failing')
    expect(judgeEvent({ kind: 'fallen_off_bus', text: '' })?.severity).toBe('lost')
    expect(judgeEvent({ kind: 'other', text: 'hello' })).toBeUndefined()
  })
})
