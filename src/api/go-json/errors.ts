/** A request that Go's decoder refuses; the message is what the client reads. */
export class DecodeError extends Error {}
