/**
 * `node --test --import=./test/support/file-time-limit.ts`: a test file that does not end, say because a failure kept it
 * from stopping a server, is ended and fails by itself; the runner would wait for it for ever, and run no other file.
 * The longest file needs two minutes.
 */
const LIMIT_MINUTES = 6

if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  const end = (): void => {
    const open = process.getActiveResourcesInfo().join(', ')
    console.error(`${process.argv[1]} did not end in ${LIMIT_MINUTES} minutes; it is kept alive by: ${open}`)
    process.exit(1)
  }
  setTimeout(end, LIMIT_MINUTES * 60_000).unref()
}
