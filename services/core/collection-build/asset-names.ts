/** The files that metadata can name, as paths below the folder. */
export class AssetNames {
  /** What stands before the names of all of them, with the slash; they lose it. */
  readonly prefix: string
  readonly #paths: ReadonlySet<string>
  readonly #folded: ReadonlyMap<string, string>

  constructor(paths: readonly string[]) {
    this.prefix = commonFolder(paths)
    this.#paths = new Set(paths)
    this.#folded = new Map(paths.map((path) => [folded(path), path]))
  }

  /**
   * The file that a link names, from metadata in a folder: below that folder, below the whole folder, or below what all
   * files have in common; percent-encoded or not. `alike`: the file that differs in case, or in how its letters are made up.
   */
  find(link: string, from: string): { path: string } | { alike: string } | undefined {
    const candidates = spellings(link).flatMap((spelling) =>
      [from, '', this.prefix].flatMap((base) => resolved(base, spelling) ?? []),
    )
    const path = candidates.find((candidate) => this.#paths.has(candidate))
    if (path !== undefined) return { path }
    const alike = candidates
      .map((candidate) => this.#folded.get(folded(candidate)))
      .find((found) => found !== undefined)
    return alike === undefined ? undefined : { alike }
  }

  /** What a file is called in the folder that is uploaded. */
  nameOf(path: string): string {
    return path.slice(this.prefix.length)
  }
}

/** The folder, with its slash, that all paths lie in; empty when that is the root. */
function commonFolder(paths: readonly string[]): string {
  const [first = '', ...others] = paths
  let common = first.slice(0, first.lastIndexOf('/') + 1)
  for (const path of others) {
    while (!path.startsWith(common)) common = common.slice(0, common.lastIndexOf('/', common.length - 2) + 1)
  }
  return common
}

/** Links are URLs to some and file names to others. */
function spellings(link: string): string[] {
  const [bare = ''] = link.split(/[?#]/, 1)
  return [...new Set([link, bare, ...[link, bare].flatMap((text) => decoded(text) ?? [])])]
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Undefined when the path leaves the folder. */
function resolved(base: string, path: string): string | undefined {
  const segments = base.split('/').filter((segment) => segment !== '')
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment !== '..') segments.push(segment)
    else if (segments.pop() === undefined) return undefined
  }
  return segments.join('/')
}

function folded(path: string): string {
  return path.normalize('NFC').toLowerCase()
}
