import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { configurationPage } from '../../services/runtime/configuration-page.ts'

writeFileSync(resolve(import.meta.dirname, '../../docs/configuration.md'), configurationPage())
