import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONTRACTS_FOLDER, makeArtifacts, makeIndex } from './contracts-abi.ts'

/** `npm run contracts`: compiles our own contracts, and prints what the program knows of all contracts. */
const artifacts = makeArtifacts()
mkdirSync(join(CONTRACTS_FOLDER, 'artifacts'), { recursive: true })
for (const [name, text] of artifacts) writeFileSync(join(CONTRACTS_FOLDER, 'artifacts', `${name}.json`), text)
writeFileSync(join(CONTRACTS_FOLDER, 'index.ts'), makeIndex(artifacts))
