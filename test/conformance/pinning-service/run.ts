import { runSuite } from './suite.ts'

/** `node test/conformance/pinning-service/run.ts http://127.0.0.1:4100/psa <token>` */
const [endpoint, token] = process.argv.slice(2)
if (endpoint === undefined || token === undefined) {
  process.stderr.write('Name the endpoint (the URL before /pins) and a token.\n')
  process.exitCode = 2
} else {
  const { output, ...report } = await runSuite(endpoint, token)
  if (!report.success) process.stdout.write(output)
  process.stdout.write(`${JSON.stringify(report)}\n`)
  process.exitCode = report.success ? 0 : 1
}
