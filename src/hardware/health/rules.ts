/**
 * Every threshold of the verdicts over devices, each with its unit in its name and its reason beside it. Times are
 * longer than one look at the sensors (a second) by enough that no single odd value decides anything.
 */
export const healthRules = {
  /** Temperature, throttling, fans and links count when they last: boards ride out shorter peaks by design. */
  holdMs: 10_000,
  /** Within the hold time at least so many looks must agree: two looks far apart are two moments, not a while. */
  leastLooks: 3,
  /** An error without a reason why the card should be gone may be a slip of the tool: it counts the second time. */
  errorLooks: 2,
  /** A reason must stay away for so long before the verdict gets better, or work would move back and forth. */
  recoverMs: 30_000,
  /** Longer without a look at the sensors breaks what was being timed, and is a reason of its own. */
  silentMs: 10_000,

  /** So near to the card's own slowdown temperature it is about to slow itself down. */
  hotMarginC: 5,
  /** Hot, where a card of its own cooling does not tell where it slows down: most do between 90 and 100. */
  hotC: 90,
  /** A told slowdown temperature below this is a margin or a placeholder, not a temperature of the chip. */
  leastSlowdownC: 60,
  /** Below slowdown by more than this a fan may stand still on purpose: cards stop theirs up to about 60. */
  fanMarginC: 20,
  /** The same where slowdown is not told. */
  fanHotC: 75,

  /** From this utilisation on (0 to 1) a link should be at its full generation; idle cards lower it to save power. */
  busyUtilization: 0.5,

  /** Corrected errors within `eccWindowMs`: one flipped bit is weather, the second begins a trend. */
  correctedErrors: 2,
  /** Rows or pages taken out of use within `eccWindowMs`: each is a defect found just now. */
  retiredRows: 1,
  /** Taken out of use over the card's life: from here on NVIDIA takes cards back. */
  retiredRowsLifetime: 60,
  eccWindowMs: 600_000,

  /** How long a fault that the kernel told of stands where no reset of the card was seen. */
  eventStandsMs: 3_600_000,
  /** One crash writes many lines: those of one kind within this time count once. */
  sameEventMs: 5_000,
  /** A program's own fault (XID 13, 31) or a reset by the driver says something of the card when it repeats. */
  repeats: 3,
  repeatWindowMs: 600_000,
} as const

/** Thresholds that differ from `healthRules` can be given, by tests and by whoever knows the machine. */
export type HealthRules = { readonly [K in keyof typeof healthRules]: number }
