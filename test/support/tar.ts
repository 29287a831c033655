export interface TarMember {
  name: string
  type: 'file' | 'directory' | 'symlink'
  content: Buffer
  target: string
}

const TYPES = new Map([
  ['0', 'file'],
  ['5', 'directory'],
  ['2', 'symlink'],
] as const)

/** The members of a pax archive in their order. Fails on a wrong checksum, an unknown type and a missing end. */
export function readTar(archive: Buffer): TarMember[] {
  const members: TarMember[] = []
  let pax = new Map<string, string>()
  for (let offset = 0; ;) {
    const header = archive.subarray(offset, offset + 512)
    if (header.length < 512) throw new Error('the archive has no end')
    if (header.every((byte) => byte === 0)) return members
    checkSum(header)
    const size = Number(pax.get('size') ?? Number.parseInt(text(header, 124, 12), 8))
    const content = archive.subarray(offset + 512, offset + 512 + size)
    if (content.length < size) throw new Error('a member is cut off')
    offset += 512 + Math.ceil(size / 512) * 512
    const flag = text(header, 156, 1)
    if (flag === 'x') {
      pax = records(content)
      continue
    }
    const type = TYPES.get(flag as '0')
    if (type === undefined) throw new Error(`type ${flag}`)
    const target = pax.get('linkpath') ?? text(header, 157, 100)
    members.push({ name: pax.get('path') ?? text(header, 0, 100), type, content, target })
    pax = new Map()
  }
}

function text(header: Buffer, start: number, length: number): string {
  return header
    .subarray(start, start + length)
    .toString('latin1')
    .replace(/\0.*$/s, '')
}

function checkSum(header: Buffer): void {
  const blank = Buffer.from(header)
  blank.fill(' ', 148, 156)
  const sum = blank.reduce((total, byte) => total + byte, 0)
  if (sum !== Number.parseInt(text(header, 148, 8), 8)) throw new Error('a header has a wrong checksum')
}

function records(content: Buffer): Map<string, string> {
  const found = new Map<string, string>()
  for (let offset = 0; offset < content.length;) {
    const space = content.indexOf(' ', offset)
    const length = Number(content.subarray(offset, space).toString())
    const [key = '', ...value] = content
      .subarray(space + 1, offset + length - 1)
      .toString()
      .split('=')
    found.set(key, value.join('='))
    offset += length
  }
  return found
}
