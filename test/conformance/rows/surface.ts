import { zstdCompressSync } from 'node:zlib'
import { talker } from '../models.ts'
import { asks, expectFit, type Row } from '../row.ts'

/** Sections 2.1 and 10: routes, methods, headers, and how bodies are read. */

const greeting = 'Ollama is running'
const cloudOff = { status: 403, json: { error: /^ollama cloud is disabled: / } }
const preflight = {
  origin: 'http://localhost:3000',
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'content-type',
}

const body = (text: string, headers: Record<string, string> = {}) => ({
  path: '/api/show',
  body: text,
  headers,
})
const shown = { status: 200, json: { details: { family: 'llama' } } }

export const surface: Row[] = [
  asks('2.1 GET /', { path: '/' }, { status: 200, type: 'text/plain; charset=utf-8', text: greeting }),
  asks('2.1 HEAD /', { method: 'HEAD', path: '/' }, { status: 200, text: '' }),
  asks(
    '2.1 GET /api/version',
    { path: '/api/version' },
    { status: 200, type: 'application/json; charset=utf-8', json: { version: /^\d+\.\d+\.\d+/ } },
  ),
  asks('2.1 HEAD /api/version', { method: 'HEAD', path: '/api/version' }, { status: 200, text: '' }),
  asks(
    '2.1 GET /api/status',
    { path: '/api/status' },
    {
      status: 200,
      json: {
        cloud: {
          disabled: (value: unknown) => typeof value === 'boolean',
          source: /^(none|env|config|both)$/,
        },
      },
    },
  ),
  asks('2.1 HEAD /api/tags', { method: 'HEAD', path: '/api/tags' }, { status: 200, text: '' }),
  asks(
    '2.1 POST /api/signout',
    { method: 'POST', path: '/api/signout' },
    { status: 200, text: /^null\n?$/ },
    { status: 401 },
  ),
  asks(
    '2.1 POST /api/me (Drover: 403)',
    { method: 'POST', path: '/api/me' },
    cloudOff,
    { status: 401 },
    { status: 503 },
  ),
  asks(
    '2.1 POST /api/experimental/web_search without a cloud',
    { path: '/api/experimental/web_search', body: { query: 'x' } },
    cloudOff,
    { status: 401 },
  ),
  asks(
    '2.1 POST /api/experimental/web_fetch without a cloud',
    { path: '/api/experimental/web_fetch', body: { url: 'x' } },
    cloudOff,
    { status: 401 },
  ),
  asks(
    '2.1 GET /api/experimental/model-recommendations',
    { path: '/api/experimental/model-recommendations' },
    { status: 200, json: { recommendations: (value: unknown) => Array.isArray(value) } },
  ),
  asks(
    '2.1 an unknown path',
    { path: '/nothing' },
    { status: 404, type: /^text\/plain/, text: '404 page not found' },
  ),
  asks(
    '2.1 an unknown path below /api',
    { path: '/api/nothing' },
    { status: 404, text: '404 page not found' },
  ),
  ...(
    [
      '/api/chat',
      '/api/generate',
      '/api/show',
      '/api/pull',
      '/api/copy',
      '/v1/chat/completions',
      '/v1/messages',
    ] as const
  ).map((path) =>
    asks(`2.1 GET ${path} is another method`, { path }, { status: 405, text: '405 method not allowed' }),
  ),
  asks(
    '2.1 POST /api/tags is another method',
    { path: '/api/tags', body: {} },
    { status: 405, text: '405 method not allowed' },
  ),
  asks('2.1 PUT is another method', { method: 'PUT', path: '/api/chat', body: {} }, { status: 405 }),
  asks(
    '2.1 a slash at the end of a GET',
    { path: '/api/tags/' },
    { status: 301, headers: { location: '/api/tags' } },
  ),
  asks(
    '2.1 a slash at the end of a POST',
    { path: '/api/chat/', body: {} },
    { status: 307, headers: { location: '/api/chat' } },
  ),
  asks('2.1 a name with a slash in /v1/models', { path: '/v1/models/a/b' }, { status: 404 }),

  asks(
    '2.1 a foreign host name',
    { path: '/api/version', headers: { host: 'evil.example' } },
    { status: 403, text: '' },
  ),
  ...['localhost', '127.0.0.1', 'box.local', 'x.localhost', 'a.internal', '192.168.1.2'].map((host) =>
    asks(`2.1 the host name ${host}`, { path: '/api/version', headers: { host } }, { status: 200 }),
  ),
  asks(
    '2.1 a preflight of this machine',
    { method: 'OPTIONS', path: '/api/chat', headers: preflight },
    { status: 204, headers: { 'access-control-allow-origin': /./, 'access-control-allow-methods': /POST/ } },
  ),
  asks(
    '2.1 a page of this machine',
    { path: '/api/version', headers: { origin: 'http://localhost:3000' } },
    { status: 200, headers: { 'access-control-allow-origin': /^(http:\/\/localhost:3000|\*)$/ } },
  ),
  ...[
    'app://x',
    'file://x',
    'tauri://localhost',
    'vscode-webview://x',
    'http://127.0.0.1',
    'https://0.0.0.0:1',
  ].map((origin) =>
    asks(`2.1 the origin ${origin}`, { path: '/api/version', headers: { origin } }, { status: 200 }),
  ),
  asks(
    '2.1 a foreign page',
    { path: '/api/version', headers: { origin: 'http://evil.example' } },
    { status: 403 },
  ),
  asks('2.1 OPTIONS without an origin', { method: 'OPTIONS', path: '/api/chat' }, { status: 204 }),

  asks('2.1 keys in another case', body(JSON.stringify({ MODEL: talker })), shown),
  asks('2.1 the last of two keys', body(`{"model":"none","model":"${talker}"}`), shown),
  asks('2.1 unknown keys', body(JSON.stringify({ model: talker, nonsense: [1] })), shown),
  asks('2.1 bytes behind the first value', body(`{"model":"${talker}"} rest`), shown),
  asks('2.1 null is absent', body(`{"model":"${talker}","verbose":null,"options":null}`), shown),
  asks(
    '2.1 any content type',
    body(JSON.stringify({ model: talker }), { 'content-type': 'text/plain' }),
    shown,
  ),
  asks(
    '2.1 a zstd body',
    {
      path: '/v1/chat/completions',
      body: zstdCompressSync(JSON.stringify({ model: 'none', messages: [{ role: 'user', content: 'x' }] })),
      headers: { 'content-encoding': 'zstd' },
    },
    { status: 404, json: { error: { message: "model 'none' not found" } } },
  ),
  asks(
    '2.1 a broken zstd body',
    { path: '/v1/chat/completions', body: 'no zstd', headers: { 'content-encoding': 'zstd' } },
    { status: 400 },
  ),
  {
    id: '2.1 characters that HTML minds are escaped as Go does',
    async check(server) {
      const { text } = await server.send({ path: '/api/show', body: { model: '<&>' } })
      expectFit(/invalid model name|\\u003c/, text, 'body')
    },
  },
]
