// The page from a folder in place of the one inside the gateway, under the gateway's own headers: for work on the page.
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'

const types = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.webmanifest': 'application/manifest+json',
}

export async function pageFromDisk(context, origin, folder) {
  const headers = Object.fromEntries((await fetch(origin)).headers)
  for (const own of ['content-length', 'content-type', 'etag', 'content-encoding', 'transfer-encoding']) delete headers[own]
  const ours = (url) => url.origin === origin && !/^\/(api|v1)\//.test(url.pathname)
  await context.route(ours, async (route) => {
    const { pathname } = new URL(route.request().url())
    const name = extname(pathname) ? pathname : '/index.html'
    const body = await readFile(join(folder, name)).catch(() => null)
    await route.fulfill({ status: body ? 200 : 404, body: body ?? '', headers: { ...headers, 'content-type': types[extname(name)] ?? 'application/octet-stream' } })
  })
}
