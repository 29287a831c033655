import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { COMMANDS } from '../../services/cli/commands.ts'
import { CommandError, EXIT } from '../../services/cli/exit-codes.ts'
import { parseWords } from '../../services/cli/parse-words.ts'
import { runCli } from '../support/run-cli.ts'

const parse = (line: string) => parseWords(line.split(' '), COMMANDS)
const refusal = (line: string): string => {
  try {
    parse(line)
  } catch (error) {
    assert.ok(error instanceof CommandError)
    assert.equal(error.exitCode, EXIT.usage)
    return error.message
  }
  return assert.fail(`${line} was taken`)
}

test('options may stand before, within and after the command', () => {
  for (const line of ['--json pin ls --limit 3 x', 'pin --limit 3 ls x --json', 'pin ls x --limit=3 --json']) {
    const { command, ...rest } = parse(line)
    assert.equal(command?.name, 'pin ls')
    assert.ok('operands' in rest)
    assert.deepEqual(rest.operands, ['x'])
    assert.equal(rest.flags['limit'], '3')
    assert.equal(rest.flags['json'], true)
  }
})

test('what stands after -- is an operand, whatever it looks like', () => {
  const parsed = parse('up -- --wait pin')
  assert.ok('operands' in parsed)
  assert.deepEqual(parsed.operands, ['--wait', 'pin'])
})

test('a command that does not exist names the nearest one', () => {
  assert.match(refusal('pinn add x'), /Did you mean `pin add`/)
  assert.match(refusal('pin lst'), /Did you mean `pin ls`/)
  assert.match(refusal('stats'), /Did you mean `status`/)
  assert.doesNotMatch(refusal('frobnicate'), /Did you mean/)
})

test('a group without its second word names the words that it has', () => {
  assert.match(refusal('pin'), /add, ls, get, why, wait, rm/)
})

test('an option that a command does not have names the nearest one', () => {
  assert.match(refusal('pin ls --limt 3'), /no option --limt. Did you mean --limit\?/)
  assert.match(refusal('pin ls --wait'), /no option --wait/)
  assert.match(refusal('pin ls --limit'), /limit/)
})

test('help is shown for everything, a group and one command', async () => {
  const all = await runCli([])
  assert.equal(all.exitCode, 0)
  for (const { name, summary } of COMMANDS) {
    assert.ok(all.stdout.includes(name) && all.stdout.includes(summary), name)
    const one = await runCli([...name.split(' '), '--help'])
    assert.equal(one.exitCode, 0)
    assert.match(one.stdout, new RegExp(`^usage: holdfast ${name}`))
  }
  for (const words of [
    ['help', 'policy'],
    ['policy', '-h'],
  ]) {
    const group = await runCli(words)
    assert.match(group.stdout, /policy preview/)
    assert.doesNotMatch(group.stdout, /pin add/)
  }
})

test('no option means one thing in one command and another in the next', () => {
  const types = new Map<string, string>()
  for (const { options = {} } of COMMANDS) {
    for (const [name, { type, multiple = false }] of Object.entries(options)) {
      const known = types.get(name) ?? `${type} ${multiple}`
      assert.equal(`${type} ${multiple}`, known, name)
      types.set(name, known)
    }
  }
})

test('operands that are missing or too many are refused before anything is asked', async () => {
  const url = ['--url', 'http://127.0.0.1:1']
  for (const line of ['up', 'get', 'get a b', 'pin add', 'pin rm', 'pin rm x', 'pin wait', 'node drain', 'node ls x'])
    assert.equal((await runCli([...line.split(' '), ...url])).exitCode, EXIT.usage, line)
  for (const line of ['pin ls --limit 0', 'pin add x --timeout soon', 'up x y --name n', 'policy apply p /nonexistent'])
    assert.equal((await runCli([...line.split(' '), ...url])).exitCode, EXIT.usage, line)
})

test('the manual names every command and every exit code', async () => {
  const manual = await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8')
  for (const { name } of COMMANDS) assert.match(manual, new RegExp(`\`${name}\\b`), name)
  for (const code of Object.values(EXIT)) assert.match(manual, new RegExp(`^\\| ${code} \\|`, 'm'))
})
