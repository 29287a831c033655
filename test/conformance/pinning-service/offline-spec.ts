import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { createRequire } from 'node:module'
import { PassThrough } from 'node:stream'
import util from 'node:util'

/**
 * Loaded before the compliance suite. It fetches the specification from the internet when it starts: that one request is
 * answered from the copy that the package `mock-ipfs-pinning-service` brings. And one of its packages calls
 * functions that Node 23 removed.
 */
const suite = createRequire(process.argv[1] ?? '')
const specification = readFileSync(suite.resolve('mock-ipfs-pinning-service/api/oas-doc.yaml'))
const realGet = https.get

function answerFromPackage(target: unknown, ...rest: unknown[]): unknown {
  const { hostname } = target as { hostname?: string }
  if (hostname?.startsWith('raw.') !== true) return (realGet as (...all: unknown[]) => unknown)(target, ...rest)
  const request = Object.assign(new EventEmitter(), { setTimeout: () => undefined, abort: () => undefined })
  queueMicrotask(() => {
    const response = Object.assign(new PassThrough(), { statusCode: 200, headers: {} })
    request.emit('response', response)
    response.end(specification)
  })
  return request
}

Object.assign(https, { get: answerFromPackage })
Object.assign(util, {
  isObject: (value: unknown) => value !== null && typeof value === 'object',
  isFunction: (value: unknown) => typeof value === 'function',
  isNumber: (value: unknown) => typeof value === 'number',
  isUndefined: (value: unknown) => value === undefined,
})
