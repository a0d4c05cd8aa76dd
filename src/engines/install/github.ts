import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { request } from 'undici'
import { type EngineSource, hasGpuDevice, type ObtainContext, run, writeWrapper } from './source.ts'

const stallTimeoutMs = 60_000
const unpackTimeoutMs = 5 * 60_000

interface ReleaseAsset {
  name: string
  size: number
  browser_download_url: string
  /** `sha256:<hex>`, computed by GitHub at upload. */
  digest?: string | null
}

interface Release {
  tag_name: string
  assets: ReleaseAsset[]
}

/** The project's own release archives, checked against the digest that the release API gives. */
export function githubSource(options: { apiUrl?: string } = {}): EngineSource {
  const apiUrl = options.apiUrl ?? 'https://api.github.com'
  return {
    name: 'GitHub release archives',
    obtain: async (target, context) => {
      const release = await latestRelease(apiUrl, context)
      const asset = pickAsset(release.assets, process.platform, process.arch, await hasGpuDevice())
      if (!asset) {
        const offered = release.assets.map(({ name }) => name).join(', ') || 'none'
        throw new Error(
          `release ${release.tag_name} has no archive for ${process.platform} ${process.arch} (it has ${offered})`,
        )
      }
      const archive = join(target, 'archive.tar.gz')
      await download(asset, archive, context)
      context.onProgress({ phase: 'unpack', message: `unpacking ${asset.name}` })
      const root = join(target, 'root')
      await mkdir(root)
      await run('tar', ['-xzf', archive, '-C', root], { signal: context.signal, timeoutMs: unpackTimeoutMs })
      await rm(archive)
      await wrapTools(target, root)
    },
  }
}

async function latestRelease(apiUrl: string, { signal, onProgress }: ObtainContext): Promise<Release> {
  const url = `${apiUrl}/repos/ggml-org/llama.cpp/releases/latest`
  onProgress({ phase: 'index', message: `asking ${url}` })
  const { statusCode, body } = await get(url, signal)
  if (statusCode !== 200) {
    await body.dump()
    throw new Error(`${url} answered with status ${statusCode}`)
  }
  const release = (await body.json()) as Partial<Release> | null
  if (typeof release?.tag_name !== 'string' || !Array.isArray(release.assets)) {
    throw new Error(`${url} did not answer with a release`)
  }
  return { tag_name: release.tag_name, assets: release.assets }
}

/** GETs, following redirects as GitHub's downloads need. */
async function get(url: string, signal: AbortSignal | undefined, redirectsLeft = 5) {
  const response = await request(url, {
    ...(signal && { signal }),
    headers: { 'user-agent': 'drover', accept: '*/*' },
    headersTimeout: stallTimeoutMs,
    bodyTimeout: stallTimeoutMs,
  })
  const location = response.headers.location
  if (response.statusCode < 300 || response.statusCode > 399 || typeof location !== 'string') return response
  await response.body.dump()
  if (redirectsLeft === 0) throw new Error(`${url} redirects without end`)
  return get(new URL(location, url).href, signal, redirectsLeft - 1)
}

/** The archive for this platform: the Vulkan build on Linux with a GPU, else the plain one. */
export function pickAsset(
  assets: readonly ReleaseAsset[],
  platform: string,
  arch: string,
  gpu: boolean,
): ReleaseAsset | undefined {
  const system = platform === 'darwin' ? 'macos' : platform === 'linux' ? 'ubuntu' : undefined
  if (!system) return undefined
  const variants = platform === 'linux' && gpu ? ['vulkan-', ''] : ['']
  for (const variant of variants) {
    const ending = `-bin-${system}-${variant}${arch}.tar.gz`
    const found = assets.find(({ name }) => name.endsWith(ending))
    if (found) return found
  }
  return undefined
}

async function download(asset: ReleaseAsset, path: string, context: ObtainContext): Promise<void> {
  const expected = /^sha256:([0-9a-f]{64})$/.exec(asset.digest ?? '')?.[1]
  if (!expected) throw new Error(`${asset.name} has no SHA-256 digest to check it against`)
  const { statusCode, body } = await get(asset.browser_download_url, context.signal)
  if (statusCode !== 200) {
    await body.dump()
    throw new Error(`${asset.browser_download_url} answered with status ${statusCode}`)
  }
  const hash = createHash('sha256')
  let doneBytes = 0
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      doneBytes += chunk.length
      const percent = asset.size > 0 ? Math.min(100, (doneBytes * 100) / asset.size) : undefined
      context.onProgress({
        phase: 'download',
        message: `downloading ${asset.name}`,
        ...(percent !== undefined && { percent }),
      })
      done(null, chunk)
    },
  })
  await pipeline(body, meter, createWriteStream(path), context.signal ? { signal: context.signal } : {})
  const actual = hash.digest('hex')
  if (actual !== expected) {
    throw new Error(`${asset.name} is damaged: its SHA-256 is ${actual}, the release says ${expected}`)
  }
}

async function wrapTools(target: string, root: string): Promise<void> {
  const files = await readdir(root, { recursive: true, withFileTypes: true })
  for (const file of files) {
    if (!file.isFile() || !/^(llama-[a-z0-9-]+|(ggml-)?rpc-server)$/.test(file.name)) continue
    const relative = join(file.parentPath, file.name).slice(target.length + 1)
    await writeWrapper(target, file.name, `"$root/${relative}"`)
  }
}
