import { ICON_LINK, PALETTE, pagePolicy } from '../runtime/http/page-look.ts'
import { textAnswer } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'

const STYLE = `${PALETTE}
body { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem; color: var(--ink); font: 1rem/1.6 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.8rem; letter-spacing: -.01em }
h2 { margin: 2rem 0 .5rem; font-size: 1rem }
p { margin: .5rem 0 }
a { color: var(--link) }
a:focus-visible { outline: 2px solid; outline-offset: 2px; border-radius: 2px }
code { font: .85rem/1.6 ui-monospace, monospace }
dl { display: grid; grid-template-columns: max-content 1fr; margin: 1.5rem 0 0; border-bottom: 1px solid var(--line) }
dt, dd { padding: .55rem 0; border-top: 1px solid var(--line) }
dt { padding-inline-end: 2rem; font-weight: 500 }
dd { margin: 0; color: var(--quiet) }
pre { margin: 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--shade); overflow-x: auto }
@media (max-width: 40rem) { body { padding-block: 1.5rem } dl { grid-template-columns: 1fr } dd { padding-top: 0; border: 0 } dt { padding-bottom: 0 } }
`

/** `GET /`: a page for people who come upon the API with a browser. */
export function landingRoute(): ApiRoute {
  return route(
    {
      method: 'GET',
      path: '/',
      summary: 'A page about this service',
      access: 'public',
      answers: { 200: textAnswer('text/html') },
    },
    async () => ({ status: 200, headers: { 'Content-Security-Policy': pagePolicy(STYLE) }, body: PAGE }),
  )
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast</title>
${ICON_LINK}
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Holdfast</h1>
<p>An IPFS pinning service: it keeps content where its owner's policy says, heals it when a server dies, and serves it by CID.
This address is its API. Content is served by the gateways of the nodes, never from here.</p>
<dl>
<dt><a href="/readyz">Readiness</a>, <a href="/livez">liveness</a></dt>
<dd>Whether the service can take requests now.</dd>
<dt><a href="/openapi.json">OpenAPI 3.1 document</a></dt>
<dd>Every route with its parameters and answers.</dd>
<dt><code>/psa/pins</code></dt>
<dd>The IPFS Pinning Service API 1.0.0, for Kubo, IPFS Desktop and other clients of it.</dd>
<dt><code>/v1/uploads</code></dt>
<dd>Files, folders and CARs.</dd>
</dl>
<h2>Upload a file</h2>
<pre><code>curl -H "Authorization: Bearer $TOKEN" --data-binary @file \\
  "$API/v1/uploads?name=file"</code></pre>
<h2>Pin with Kubo</h2>
<pre><code>ipfs pin remote service add holdfast $API/psa $TOKEN
ipfs pin remote add --service=holdfast --name=site $CID</code></pre>
</main>
</body>
</html>
`
