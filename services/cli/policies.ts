import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Policy, PolicyRule } from '../core/policy.ts'
import { formatSize } from '../core/units.ts'
import { none, only, type Command } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { print, table } from './output.ts'
import { plain } from './terminal-text.ts'

interface SavedPolicy {
  name: string
  version: number
  owner: 'tenant' | 'system'
  spec: Policy
}

interface Preview {
  contents: number
  sampled: number
  copiesAdded: number
  bytesAdded: number
  copiesReleased: number
  bytesReleased: number
  unsatisfied: number
  problems: string[]
}

const ls: Command = {
  name: 'policy ls',
  operands: '',
  summary: 'Replication policies',
  async run({ operands, output, signal, api }) {
    none(operands)
    const { policies } = await (await api()).get<{ policies: SavedPolicy[] }>('/v1/policies', { signal })
    print(output, policies, (all) =>
      output.quiet
        ? all.map(({ name }) => name).join('\n')
        : table(output, ['POLICY', 'VERSION', 'OWNER', 'MIN', 'TARGET', 'RULES'], all.map(policyRow)),
    )
  },
}

function policyRow({ name, version, owner, spec }: SavedPolicy): string[] {
  const { min, target } = spec.copies
  return [name, String(version), owner, String(min), String(target), spec.rules.map(ruleText).join('; ')]
}

/** A rule in one phrase: `region: in 2 or more`. */
function ruleText(rule: PolicyRule): string {
  if ('distinct' in rule) return `${rule.spread}: in ${rule.distinct} or more`
  if ('max' in rule) return `${rule.spread}: at most ${rule.max} in one`
  if ('require' in rule) return `${rule.require}: ${rule.copies} in ${rule.in.join(' or ')}`
  if ('forbid' in rule) return `${rule.forbid}: never ${rule.in.join(' or ')}`
  return `${rule.prefer}: rather ${rule.in.join(' or ')} (${rule.weight}×)`
}

const get: Command = {
  name: 'policy get',
  operands: '<name>',
  summary: 'One policy as JSON, in the form that `policy apply` takes',
  async run({ operands, output, signal, api }) {
    const name = encodeURIComponent(only(operands, 'a policy'))
    const saved = await (await api()).get<SavedPolicy>(`/v1/policies/${name}`, { signal })
    print(output, saved, ({ spec }) => JSON.stringify(spec, null, 2))
  },
}

const apply: Command = {
  name: 'policy apply',
  operands: '<name> <file.json | ->',
  summary: 'Save a policy; its pins follow it from then on',
  async run({ operands, output, signal, api }) {
    const { name, spec } = await namedSpec(operands)
    const path = `/v1/policies/${encodeURIComponent(name)}`
    const saved = await (await api()).put<SavedPolicy>(path, spec, { signal })
    print(output, saved, ({ version }) => (output.quiet ? '' : `${name} is saved as version ${version}`))
  },
}

const preview: Command = {
  name: 'policy preview',
  operands: '<name> <file.json | ->',
  summary: 'What a policy would move, before it is saved',
  async run({ operands, output, signal, api }) {
    const { name, spec } = await namedSpec(operands)
    const answer = await (await api()).post<Preview>('/v1/policies:preview', { name, policy: spec }, { signal })
    print(output, answer, (shown) => previewText(name, shown))
  },
}

function previewText(name: string, answer: Preview): string {
  const { contents, sampled, copiesAdded, bytesAdded, copiesReleased, bytesReleased, unsatisfied, problems } = answer
  const of = sampled < contents ? ` (looked at ${sampled})` : ''
  return [
    `${name}: ${contents} roots${of}`,
    `copies to make: ${copiesAdded}, ${formatSize(bytesAdded)}`,
    `copies to give back: ${copiesReleased}, ${formatSize(bytesReleased)}`,
    ...(unsatisfied === 0 ? [] : [`roots for which a rule cannot be met: ${unsatisfied}`]),
    ...problems.map((problem) => `  ${plain(problem)}`),
  ].join('\n')
}

const rm: Command = {
  name: 'policy rm',
  operands: '<name>',
  summary: 'Delete a policy that no pin uses',
  async run({ operands, output, signal, api }) {
    const name = only(operands, 'a policy')
    await (await api()).delete(`/v1/policies/${encodeURIComponent(name)}`, { signal })
    print(output, { name, removed: true }, () => (output.quiet ? '' : `removed ${name}`))
  },
}

/** The name and the description of a policy that two operands give. */
async function namedSpec([name, file, ...others]: readonly string[]): Promise<{ name: string; spec: unknown }> {
  if (name === undefined || file === undefined || others.length > 0) {
    throw new CommandError(EXIT.usage, 'Name the policy, and the JSON file that describes it (- for standard input).')
  }
  try {
    return {
      name,
      spec: JSON.parse(file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')) as unknown,
    }
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${file} holds no policy: ${(cause as Error).message}.`, { cause })
  }
}

export const policyCommands: readonly Command[] = [ls, get, apply, preview, rm]
