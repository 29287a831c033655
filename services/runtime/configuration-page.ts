import { SETTINGS } from './config.ts'

/** docs/configuration.md as Markdown, printed from the settings table. */
export function configurationPage(): string {
  const rows = Object.entries(SETTINGS).map(([name, { fallback, meaning, ...rest }]) => {
    const shown = fallback === undefined ? '' : fallback === '' ? '(empty)' : `\`${fallback}\``
    return `| \`${name}\` | ${shown} | ${meaning}${'secret' in rest ? ' (secret)' : ''} |`
  })
  return [
    '# Configuration',
    '',
    'Every setting is an environment variable. An unknown `HOLDFAST_…` name and a value that cannot be read stop the',
    'process with one sentence. This page is printed from `services/runtime/config.ts` by `npm run docs`.',
    '',
    '| setting | default | meaning |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}
