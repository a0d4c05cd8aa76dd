const space = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/

/** Where the text's leading white space ends, by Go's meaning of white space. */
export function leadingSpace(text: string): number {
  let end = 0
  while (end < text.length && space.test(text.charAt(end))) end++
  return end
}

/** How many characters at the text's end begin `tag` without completing it. */
export function partialTag(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return length
  }
  return 0
}
