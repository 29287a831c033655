import { formatSize } from '../core/units.ts'
import type { Output } from './output.ts'

const BAR_COLUMNS = 24
const REDRAW_MS = 100

/** One line on standard error that is drawn over and over; silent when that is no terminal, or with --json or --quiet. */
export class ProgressLine implements Disposable {
  readonly #output: Output
  readonly #live: boolean
  #drawnAt = 0

  constructor(output: Output) {
    this.#output = output
    this.#live = output.stderr.isTTY && !output.json && !output.quiet
  }

  /** How much of how much; `total` may be unknown. */
  bytes(label: string, done: number, total: number | undefined): void {
    const now = performance.now()
    if (!this.#live || (now - this.#drawnAt < REDRAW_MS && done !== total)) return
    this.#drawnAt = now
    this.#draw(
      `${label} ${bar(done, total)} ${formatSize(done)}${total === undefined ? '' : ` of ${formatSize(total)}`}`,
    )
  }

  text(line: string): void {
    if (this.#live) this.#draw(line)
  }

  #draw(line: string): void {
    this.#output.stderr.write(`\r\u001b[2K${line.slice(0, (this.#output.stderr.columns ?? 80) - 1)}`)
  }

  [Symbol.dispose](): void {
    if (this.#live) this.#output.stderr.write('\r\u001b[2K')
  }
}

function bar(done: number, total: number | undefined): string {
  if (total === undefined || total === 0) return ''
  const filled = Math.min(BAR_COLUMNS, Math.floor((done / total) * BAR_COLUMNS))
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_COLUMNS - filled)}] ${Math.floor((done / total) * 100)}%`
}
