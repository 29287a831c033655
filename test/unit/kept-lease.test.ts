import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { HoldfastError } from '../../services/core/errors.ts'
import { keepLease } from '../../services/runtime/kept-lease.ts'

const going = new AbortController().signal

suite('a lease that is kept', () => {
  test('is renewed until the work is over', async () => {
    const renewed = Promise.withResolvers<void>()
    let renewals = 0
    const renew = (): Promise<void> => {
      renewals += 1
      if (renewals === 3) renewed.resolve()
      return Promise.resolve()
    }
    {
      await using lease = keepLease(renew, { everyMs: 1, signal: going })
      await renewed.promise
      assert.equal(lease.signal.aborted, false)
    }
    const atTheEnd = renewals
    await new Promise(setImmediate)
    assert.equal(renewals, atTheEnd)
  })

  test('ends the work at once when somebody else has it', async () => {
    let renewals = 0
    const renew = (): Promise<void> => {
      renewals += 1
      return Promise.reject(new HoldfastError('CONFLICT', 'Another process has it.'))
    }
    await using lease = keepLease(renew, { everyMs: 1, signal: going })
    await once(lease.signal, 'abort')
    assert.equal(renewals, 1)
  })

  test('bears failures, but not three in a row', async () => {
    const answers = [false, false, true, false, false, false]
    let renewals = 0
    const renew = (): Promise<void> =>
      answers[renewals++] === true ? Promise.resolve() : Promise.reject(new Error('no database'))
    await using lease = keepLease(renew, { everyMs: 1, signal: going })
    await once(lease.signal, 'abort')
    assert.equal(renewals, answers.length)
  })
})
