import type { DeviceFacts } from '../contract.ts'

type Supports = DeviceFacts['supports']

/**
 * What NVIDIA cards of a compute capability (`8.9`) can do, after the tables of arithmetic throughput in the CUDA
 * programming guide. Empty where the text is none.
 */
export function supportsOfCompute(capability: string): Supports {
  const version = versionOf(capability)
  if (version === undefined) return {}
  return {
    fp16: version >= 53,
    // 6.1 computes fp16 at 1/64 of its fp32 rate.
    fp16Fast: version === 60 || version === 62 || version >= 70,
    bf16: version >= 80,
    fp8: version >= 89,
    fp4: version >= 100,
    int8: version >= 61,
  }
}

/**
 * What AMD cards of a target (`gfx1100`) can do, after the instruction set guides of GCN, RDNA and CDNA: packed fp16
 * from Vega on, dot products of int8 from gfx906 and gfx1011 on, matrix units with bf16 from gfx908 and RDNA 3 on, with
 * fp8 from gfx940 and RDNA 4 on. Empty for a target that is none or not known; a field is left out where it is not sure.
 */
export function supportsOfGfx(gfx: string): Supports {
  const digits = /^gfx([0-9a-f]{3,4})(:|$)/i.exec(gfx.trim())?.[1]?.toLowerCase()
  if (digits === undefined) return {}
  return digits.length === 4 ? ofRdna(digits) : ofGcn(digits)
}

function ofGcn(digits: string): Supports {
  const target = Number.parseInt(digits, 16)
  if (target < 0x800 || target >= 0xa00) return {}
  return {
    fp16: true,
    fp16Fast: target >= 0x900,
    bf16: target === 0x908 || (target >= 0x90a && target !== 0x90c),
    fp8: target >= 0x940,
    fp4: target >= 0x950,
    // gfx90c is an APU of the first Vega kind.
    int8: target === 0x906 || target === 0x908 || (target >= 0x90a && target !== 0x90c),
  }
}

function ofRdna(digits: string): Supports {
  const family = digits.slice(0, 2)
  const fp16 = { fp16: true, fp16Fast: true }
  if (family === '10') {
    const int8 = digits !== '1010' && digits !== '1013'
    return { ...fp16, bf16: false, fp8: false, fp4: false, int8 }
  }
  if (family === '11') return { ...fp16, bf16: true, fp8: false, fp4: false, int8: true }
  if (family === '12')
    return { ...fp16, bf16: true, fp8: true, int8: true, ...(digits < '1250' && { fp4: false }) }
  return {}
}

/** `8.9` as 89, `10.3` as 103. */
export function versionOf(capability: string): number | undefined {
  const match = /^\s*(\d{1,3})\.(\d)\s*$/.exec(capability)
  return match ? Number(match[1]) * 10 + Number(match[2]) : undefined
}
