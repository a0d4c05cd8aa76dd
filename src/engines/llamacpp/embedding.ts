/** One vector as the server sends it: little-endian floats in base64, or (older versions) numbers. L2-normalised. */
export function decodeEmbedding(embedding: string | readonly number[]): Float32Array {
  const vector = typeof embedding === 'string' ? floatsOf(embedding) : Float32Array.from(embedding)
  let squares = 0
  for (const value of vector) squares += value * value
  const norm = Math.sqrt(squares)
  return norm > 0 ? vector.map((value) => value / norm) : vector
}

function floatsOf(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  const vector = new Float32Array(bytes.length / 4)
  for (let index = 0; index < vector.length; index++) vector[index] = bytes.readFloatLE(index * 4)
  return vector
}
