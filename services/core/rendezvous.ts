/**
 * Weighted rendezvous hashing: each root ranks the nodes in an order of its own, in which a node comes first as often as
 * its weight says. A node that joins or leaves changes only the places that it takes or held.
 * @returns larger is better; 0 for a weight of 0
 */
export function rendezvousScore(root: string, nodeId: number, weight: number): number {
  return weight <= 0 ? 0 : weight / -Math.log(unitHash(`${root} ${nodeId}`))
}

const HIGH = 2 ** 32
const UNIT = 2 ** 53

/** A number inside (0, 1) that the text decides: two multiplicative hashes, mixed (cyrb53, public domain). */
function unitHash(text: string): number {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909)
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
  return (HIGH * (b & 0x1f_ffff) + (a >>> 0) + 0.5) / UNIT
}
