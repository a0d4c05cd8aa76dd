import { chmod, copyFile, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import {
  type AptArchive,
  distributionArchive,
  parseDeb822Sources,
  parseOneLineSources,
  sourceStanza,
} from './apt-sources.ts'
import {
  type EngineSource,
  findOnPath,
  hasGpuDevice,
  type ObtainContext,
  run,
  writeWrapper,
} from './source.ts'

const indexTimeoutMs = 5 * 60_000
const downloadTimeoutMs = 30 * 60_000
const unpackTimeoutMs = 2 * 60_000

/** Without these there is no `llama-server`; the first that the suite has is taken. */
const serverPackages = ['llama.cpp-tools', 'llama.cpp']
/** Taken where the suite has them: the other tools, and workers on other machines. */
const companionPackages = ['llama.cpp-tools-extra', 'libggml0-backend-rpc']
const vulkanPackage = 'libggml0-backend-vulkan'

/**
 * Debian's packages of llama.cpp with everything they need, down to the C library, unpacked into a folder of
 * their own. apt runs on a private configuration (own state, cache and source list; the mirror and keyring that
 * the machine already uses), so nothing of the system is changed and no root is needed, and apt itself verifies
 * signature and checksums.
 *
 * `vulkan` absent takes the Vulkan back-end where the machine has a GPU. `extraPackages` are unpacked beside it all (a
 * software Vulkan driver, for machines without a GPU).
 */
export function debianSource(
  options: { vulkan?: boolean; extraPackages?: readonly string[] } = {},
): EngineSource {
  return {
    name: 'Debian packages',
    obtain: async (target, context) => {
      for (const program of ['apt-get', 'apt-cache', 'dpkg', 'dpkg-deb']) {
        if (!(await findOnPath(program))) throw new Error(`${program} is not on the PATH`)
      }
      const { archive, suites } = await findArchive()
      const vulkan = options.vulkan ?? (await hasGpuDevice())
      const more = [...(vulkan ? [vulkanPackage] : []), ...(options.extraPackages ?? [])]
      const failures: string[] = []
      for (const suite of suites) {
        // In the system's temporary folder, open to read: apt downloads as a user of its own when run by root.
        const aptDir = await mkdtemp(join(tmpdir(), 'drover-apt-'))
        try {
          await chmod(aptDir, 0o755)
          await obtainFromSuite(target, aptDir, archive, suite, more, context)
          return
        } catch (error) {
          context.signal?.throwIfAborted()
          failures.push(`${suite}: ${error instanceof Error ? error.message : error}`)
        } finally {
          await rm(aptDir, { recursive: true, force: true })
        }
      }
      throw new Error(failures.join('; '))
    },
  }
}

async function obtainFromSuite(
  target: string,
  aptDir: string,
  archive: AptArchive,
  suite: string,
  more: readonly string[],
  context: ObtainContext,
): Promise<void> {
  const { signal, onProgress } = context
  const config = await writeAptConfig(aptDir, archive, suite)
  onProgress({ phase: 'index', message: `reading the package list of ${suite}` })
  await run('apt-get', ['-c', config, '-q', 'update', '--error-on=any'], {
    signal,
    timeoutMs: indexTimeoutMs,
  })
  const packages = await choosePackages(config, more, context)

  onProgress({ phase: 'download', message: `downloading ${packages.join(', ')}`, percent: 0 })
  await run(
    'apt-get',
    ['-c', config, '-q', '-y', '--download-only', '--no-install-recommends', 'install', ...packages],
    { signal, timeoutMs: downloadTimeoutMs, onStdout: (text) => reportDownload(text, onProgress) },
  )
  const downloads = join(aptDir, 'cache/archives')
  const debs = (await readdir(downloads)).filter((name) => name.endsWith('.deb'))
  const root = join(target, 'root')
  await mkdir(root)
  for (const [index, deb] of debs.entries()) {
    const percent = (index * 100) / debs.length
    onProgress({ phase: 'unpack', message: `unpacking ${deb.split('_')[0]}`, percent })
    await run('dpkg-deb', ['-x', join(downloads, deb), root], { signal, timeoutMs: unpackTimeoutMs })
  }
  await makeRunnable(target)
}

async function writeAptConfig(aptDir: string, archive: AptArchive, suite: string): Promise<string> {
  const architecture = (await run('dpkg', ['--print-architecture'], { timeoutMs: 10_000 })).trim()
  for (const folder of ['state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(aptDir, folder), { recursive: true })
  }
  await writeFile(join(aptDir, 'status'), '')
  await writeFile(join(aptDir, 'drover.sources'), sourceStanza(archive, suite, architecture))
  const config = join(aptDir, 'apt.conf')
  // Read after the machine's own configuration, whose proxies therefore hold; its hooks must not run, they act
  // on the system's folders. An empty package status makes apt fetch the whole closure.
  await writeFile(
    config,
    `Dir::State "${aptDir}/state";
Dir::State::status "${aptDir}/status";
Dir::Cache "${aptDir}/cache";
Dir::Cache::archives "archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::sourcelist "${aptDir}/drover.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "${aptDir}";
APT::Architecture "${architecture}";
#clear APT::Architectures;
APT::Architectures { "${architecture}"; };
APT::Status-Fd "1";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
#clear APT::Update;
#clear APT::Default-Release;
#clear DPkg;
`,
  )
  return config
}

async function choosePackages(
  config: string,
  more: readonly string[],
  { signal }: ObtainContext,
): Promise<string[]> {
  const wanted = [...serverPackages, ...companionPackages, ...more]
  const names = await run('apt-cache', ['-c', config, 'pkgnames'], { signal, timeoutMs: 60_000 })
  const known = new Set(names.split('\n'))
  const server = serverPackages.find((name) => known.has(name))
  if (!server) throw new Error(`the suite has none of the packages ${serverPackages.join(', ')}`)
  return [server, ...wanted.filter((name) => !serverPackages.includes(name) && known.has(name))]
}

/** apt's machine-readable progress: `dlstatus:<item>:<percent>:<text>`. */
function reportDownload(text: string, onProgress: ObtainContext['onProgress']): void {
  const last = [...text.matchAll(/^dlstatus:[^:]*:([\d.]+):(.*)$/gm)].at(-1)
  if (last) onProgress({ phase: 'download', message: last[2] ?? '', percent: Number(last[1]) })
}

/**
 * Writes the wrappers. The unpacked programs need their own C library, so each starts through the unpacked
 * loader. ggml looks for its back-ends in the system's folder, in the folder of the running program's file and
 * in the current one: through a loader, that file is the loader. So the loader gets a name among the back-ends,
 * one a tool, which also gives the processes their right names.
 */
async function makeRunnable(target: string): Promise<void> {
  const root = join(target, 'root')
  const triplet = (await readdir(join(root, 'usr/lib'))).find((name) => /-linux-/.test(name))
  if (!triplet) throw new Error('the unpacked packages have no library folder')
  const libraries = `usr/lib/${triplet}`
  const files = await readdir(join(root, libraries))
  const loader = files.find((name) => /^ld-linux.*\.so\.\d+$/.test(name))
  if (!loader) throw new Error(`the unpacked packages have no loader in ${libraries}`)
  const backends = `${libraries}/ggml/${await backendFolder(join(root, libraries))}`

  for (const [tool, program] of await findTools(root, triplet)) {
    const named = join(root, backends, tool)
    await link(join(root, libraries, loader), named).catch(() =>
      copyFile(join(root, libraries, loader), named),
    )
    await writeWrapper(
      target,
      tool,
      `"$root/root/${backends}/${tool}" --argv0 "${tool}" \\
  --library-path "$root/root/${libraries}:$root/root/${libraries}/llama" \\
  "$root/root/${program}"`,
    )
  }
}

async function backendFolder(libraries: string): Promise<string> {
  const found = (await readdir(join(libraries, 'ggml'))).find((name) => name.startsWith('backends'))
  if (!found) throw new Error('the unpacked packages have no folder of ggml back-ends')
  return found
}

/** Tool name to its path below the root. */
async function findTools(root: string, triplet: string): Promise<Map<string, string>> {
  const tools = new Map<string, string>()
  for (const folder of ['usr/bin', `usr/libexec/${triplet}/llama/bin`, `usr/libexec/${triplet}/ggml/bin`]) {
    const names = await readdir(join(root, folder)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of names) {
      if (/^(llama-|ggml-rpc|rpc-server)/.test(name)) tools.set(basename(name), `${folder}/${name}`)
    }
  }
  return tools
}

async function findArchive(): Promise<{ archive: AptArchive; suites: string[] }> {
  const release = parseOsRelease(await readFile('/etc/os-release', 'utf8'))
  const ubuntu = [release.get('ID'), ...(release.get('ID_LIKE') ?? '').split(' ')].includes('ubuntu')
  const suites = ubuntu ? ['devel'] : ['testing', 'sid']
  const archive = distributionArchive(await readMachineArchives(), release.get('VERSION_CODENAME') ?? '')
  if (archive) return { archive, suites }
  if (ubuntu) throw new Error("the machine's apt sources name no Ubuntu archive")
  return {
    suites,
    archive: {
      uri: 'http://deb.debian.org/debian',
      signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg',
      suites: [],
      components: ['main'],
    },
  }
}

function parseOsRelease(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^(\w+)="?([^"\n]*)"?$/gm)].map(([, key, value]) => [key ?? '', value ?? '']),
  )
}

async function readMachineArchives(): Promise<AptArchive[]> {
  const read = async (path: string) => {
    try {
      return await readFile(path, 'utf8')
    } catch {
      // A source list that this user may not read is as good as none.
      return ''
    }
  }
  const parts = await readdir('/etc/apt/sources.list.d').catch(() => [])
  const archives = parseOneLineSources(await read('/etc/apt/sources.list'))
  for (const part of parts.sort()) {
    const text = await read(join('/etc/apt/sources.list.d', part))
    if (part.endsWith('.sources')) archives.push(...parseDeb822Sources(text))
    else if (part.endsWith('.list')) archives.push(...parseOneLineSources(text))
  }
  return archives
}
