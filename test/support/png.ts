import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
const SIDE = 16

/** A picture of 16 by 16 pixels in shades that no other number has. */
export function pngOf(number: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(SIDE, 0)
  header.writeUInt32BE(SIDE, 4)
  // Eight bits a channel, red, green and blue.
  header.set([8, 2, 0, 0, 0], 8)
  const rows = Array.from({ length: SIDE }, (_, y) =>
    // Each row begins with how it is filtered: not at all.
    [0, ...Array.from({ length: SIDE }, (__, x) => [number >> 8, number & 0xff, (x * y) & 0xff]).flat()],
  )
  const pixels = deflateSync(Buffer.from(rows.flat()))
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, checksum])
}
