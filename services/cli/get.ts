import type { Command } from './command.ts'
export const get: Command = { name: 'get', operands: '<cid>', summary: 'x', run: async () => {} }
