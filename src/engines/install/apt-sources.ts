/** A package archive as apt knows it. */
export interface AptArchive {
  uri: string
  /** A keyring's path, a fingerprint or a whole key; absent trusts what apt trusts by itself. */
  signedBy?: string
  suites: string[]
  components: string[]
}

/** Reads `.sources` files (deb822 stanzas, see sources.list(5)); disabled stanzas are left out. */
export function parseDeb822Sources(text: string): AptArchive[] {
  return text.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const fields = stanzaFields(stanza)
    const list = (name: string) => fields.get(name)?.trim().split(/\s+/).filter(Boolean) ?? []
    if (!list('types').includes('deb') || fields.get('enabled')?.trim() === 'no') return []
    const signedBy = fields.get('signed-by')?.trim()
    return list('uris').map((uri) => ({
      uri,
      suites: list('suites'),
      components: list('components'),
      ...(signedBy && { signedBy }),
    }))
  })
}

function stanzaFields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>()
  let current = ''
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue
    const field = /^([A-Za-z0-9-]+):(.*)$/.exec(line)
    if (field?.[1]) {
      current = field[1].toLowerCase()
      fields.set(current, field[2] ?? '')
    } else if (current && /^[ \t]/.test(line)) {
      fields.set(current, `${fields.get(current)}\n${line}`)
    }
  }
  return fields
}

/** Reads the one-line form (`deb [signed-by=...] uri suite component...`). */
export function parseOneLineSources(text: string): AptArchive[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line)
    if (!match?.[2] || !match[3]) return []
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(match[1] ?? '')?.[1]
    return [
      {
        uri: match[2],
        suites: [match[3]],
        components: match[4]?.trim().split(/\s+/).filter(Boolean) ?? [],
        ...(signedBy && { signedBy }),
      },
    ]
  })
}

/** The archive that this release itself comes from: the one that has the release's own suite and `main`. */
export function distributionArchive(
  archives: readonly AptArchive[],
  codename: string,
): AptArchive | undefined {
  const aliases = [codename, 'stable', 'testing', 'unstable', 'sid', 'devel'].filter(Boolean)
  return archives.find(
    (archive) =>
      !archive.uri.startsWith('cdrom:') &&
      archive.components.includes('main') &&
      archive.suites.some((suite) => aliases.includes(suite)),
  )
}

/** One deb822 stanza that takes only the package lists of one suite. */
export function sourceStanza(archive: AptArchive, suite: string, architecture: string): string {
  return `${[
    'Types: deb',
    `URIs: ${archive.uri}`,
    `Suites: ${suite}`,
    `Components: ${archive.components.filter((name) => name === 'main' || name === 'universe').join(' ')}`,
    `Architectures: ${architecture}`,
    'Targets: Packages',
    ...(archive.signedBy ? [`Signed-By: ${archive.signedBy}`] : []),
  ].join('\n')}\n`
}
