import { formatSize } from '../core/units.ts'
import type { Output } from './output.ts'
import { cutTo, plain } from './terminal-text.ts'

const BAR_COLUMNS = 24
const REDRAW_MS = 100
/** What a terminal has that does not say. */
const DEFAULT_COLUMNS = 80
const ERASE_LINE = '\r\u001b[2K'

/** One line on standard error that is drawn over and over; silent when that is no terminal, or with --json or --quiet. */
export class ProgressLine implements Disposable {
  readonly #output: Output
  readonly #live: boolean
  #drawnAt = Number.NEGATIVE_INFINITY

  constructor(output: Output) {
    this.#output = output
    this.#live = output.stderr.isTTY === true && !output.json && !output.quiet
  }

  /** How much of how much; `total` may be unknown. */
  bytes(label: string, done: number, total: number | undefined): void {
    if (!this.#live) return
    const now = performance.now()
    if (now - this.#drawnAt < REDRAW_MS && done !== total) return
    this.#drawnAt = now
    this.#draw(`${progressOf(done, total)}  ${plain(label)}`)
  }

  text(line: string): void {
    if (this.#live) this.#draw(plain(line))
  }

  /** A sentence that stays, above the line. */
  aside(sentence: string): void {
    this.#output.stderr.write(`${this.#live ? ERASE_LINE : ''}${sentence}\n`)
  }

  #draw(line: string): void {
    const { stderr } = this.#output
    stderr.write(ERASE_LINE + cutTo(line, (stderr.columns || DEFAULT_COLUMNS) - 1))
  }

  [Symbol.dispose](): void {
    if (this.#live) this.#output.stderr.write(ERASE_LINE)
  }
}

function progressOf(done: number, total: number | undefined): string {
  if (total === undefined) return formatSize(done)
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const filled = Math.floor(share * BAR_COLUMNS)
  const percent = `${Math.floor(share * 100)}%`.padStart(5)
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_COLUMNS - filled)}]${percent}  ${formatSize(done)} of ${formatSize(total)}`
}
