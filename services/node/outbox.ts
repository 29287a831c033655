import type { PossessionReport, Report } from '../core/sync.ts'

/**
 * Reports that wait to be sent. Of progress under one lease only the newest counts, and none after the outcome. Beside
 * them, roots that the disk has damaged, each once, and answers to challenges.
 */
export class Outbox {
  #outcomes: Report[] = []
  readonly #progress = new Map<string, Report>()
  readonly #damaged = new Set<string>()
  #possessions: PossessionReport[] = []
  #wake: () => void = () => {}

  get size(): number {
    return this.#outcomes.length + this.#progress.size + this.#damaged.size + this.#possessions.length
  }

  add(report: Report): void {
    if (report.outcome === 'progress') {
      this.#progress.set(report.lease, report)
    } else {
      this.#progress.delete(report.lease)
      this.#outcomes.push(report)
    }
    this.#wake()
  }

  /** Takes up to `max` reports, outcomes first, in their order. */
  take(max: number): Report[] {
    const outcomes = this.#outcomes.splice(0, max)
    const progress = [...this.#progress.values()].slice(0, max - outcomes.length)
    for (const { lease } of progress) this.#progress.delete(lease)
    return [...outcomes, ...progress]
  }

  /** Takes back reports whose sending failed: they are the oldest again. */
  giveBack(reports: readonly Report[]): void {
    this.#outcomes = [...reports.filter(({ outcome }) => outcome !== 'progress'), ...this.#outcomes]
    for (const report of reports) {
      if (report.outcome !== 'progress' || this.#progress.has(report.lease)) continue
      if (!this.#outcomes.some(({ lease }) => lease === report.lease)) this.#progress.set(report.lease, report)
    }
  }

  addDamaged(roots: readonly string[]): void {
    for (const root of roots) this.#damaged.add(root)
    this.#wake()
  }

  takeDamaged(max: number): string[] {
    const roots = [...this.#damaged].slice(0, max)
    for (const root of roots) this.#damaged.delete(root)
    return roots
  }

  addPossessions(reports: readonly PossessionReport[]): void {
    this.#possessions.push(...reports)
    this.#wake()
  }

  takePossessions(max: number): PossessionReport[] {
    return this.#possessions.splice(0, max)
  }

  /** Resolves when there is something to send. */
  async filled(signal: AbortSignal): Promise<void> {
    while (this.size === 0 && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const onAbort = (): void => resolve()
      this.#wake = resolve
      signal.addEventListener('abort', onAbort)
      await promise
      signal.removeEventListener('abort', onAbort)
    }
  }
}
