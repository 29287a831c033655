import { escaped } from './html-text.ts'

/** A part of a whole, or a bar beside others. */
export interface Share {
  name: string
  count: number
  /** Of the style sheet. */
  className: string
}

const WIDTH = 720
const BAR = 28
const LINE = 22
const LABEL = 220

/** One bar, divided. */
export function dividedBar(shares: readonly Share[], title: string): string {
  const total = shares.reduce((sum, { count }) => sum + count, 0)
  let x = 0
  const parts = shares.map(({ name, count, className }) => {
    const width = total === 0 ? 0 : (count / total) * WIDTH
    const part = `<rect class="${className}" x="${x.toFixed(2)}" y="0" width="${width.toFixed(2)}" height="${BAR}"><title>${escaped(name)}: ${count}</title></rect>`
    x += width
    return part
  })
  return svg(BAR, title, parts.join(''))
}

/** A bar for each, one below the other. */
export function bars(shares: readonly Share[], title: string): string {
  const most = Math.max(1, ...shares.map(({ count }) => count))
  const rows = shares.map(({ name, count, className }, index) => {
    const y = index * LINE
    const width = (count / most) * (WIDTH - LABEL - 90)
    return (
      `<text x="${LABEL - 8}" y="${y + 15}" text-anchor="end">${escaped(shortened(name))}</text>` +
      `<rect class="${className}" x="${LABEL}" y="${y + 3}" width="${Math.max(1, width).toFixed(2)}" height="${LINE - 6}"/>` +
      `<text x="${(LABEL + width + 6).toFixed(2)}" y="${y + 15}">${count}</text>`
    )
  })
  return svg(Math.max(1, shares.length) * LINE, title, rows.join(''))
}

function svg(height: number, title: string, content: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">${content}</svg>`
}

function shortened(name: string): string {
  return name.length > 30 ? `${name.slice(0, 29)}…` : name
}
