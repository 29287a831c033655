/**
 * Whether a name can be one segment of a path: not empty, `.` or `..`, and without `/` and NUL. A backslash is a
 * character like any other, as in Kubo: reading it as a separator would give a tree another CID.
 */
export function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')
}
