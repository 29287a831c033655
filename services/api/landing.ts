import { createHash } from 'node:crypto'
import { textAnswer } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
body { max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 }
code { font: 0.9em/1.6 ui-monospace, monospace }
pre { overflow-x: auto; padding: 0.8rem 1rem; border: 1px solid color-mix(in srgb, currentcolor 25%, transparent); border-radius: 6px }
dt { font-weight: 600; margin-top: 0.8rem }
dd { margin-left: 0 }
`

/** Nothing runs on this origin but what is named here: the page needs its own style and no script. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

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
    async () => ({ status: 200, headers: { 'Content-Security-Policy': POLICY }, body: PAGE }),
  )
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast</title>
<style>${STYLE}</style>
</head>
<body>
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
<p>Upload a file:</p>
<pre><code>curl -H "Authorization: Bearer $TOKEN" --data-binary @file "$API/v1/uploads?name=file"</code></pre>
<p>Pin with Kubo:</p>
<pre><code>ipfs pin remote service add holdfast $API/psa $TOKEN
ipfs pin remote add --service=holdfast --name=site $CID</code></pre>
</body>
</html>
`
