import { describe, expect, it } from 'vitest'
import { distributionArchive, parseDeb822Sources, parseOneLineSources, sourceStanza } from './apt-sources.ts'

describe("the machine's apt sources", () => {
  it('are read from deb822 stanzas, with comments, disabled stanzas and keys over several lines', () => {
    const text = `# comment
Types: deb deb-src
# another
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://other.example
Suites: sid
Components: main

Types: deb-src
URIs: http://sources.example
Suites: sid
Components: main
`
    const [archive, ...more] = parseDeb822Sources(text)
    expect(more).toEqual([])
    expect(archive).toMatchObject({
      uri: 'http://mirror.example/debian',
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main', 'contrib'],
    })
    expect(archive?.signedBy).toMatch(/^-----BEGIN.*\n \.\n abc\n.*END PGP PUBLIC KEY BLOCK-----$/s)
  })

  it('are read from one-line entries, with and without options', () => {
    const text = `
deb http://a.example/debian bookworm main contrib # trailing
# deb http://off.example/debian bookworm main
deb-src http://a.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/b.gpg] https://b.example/apt stable main
`
    expect(parseOneLineSources(text)).toEqual([
      { uri: 'http://a.example/debian', suites: ['bookworm'], components: ['main', 'contrib'] },
      {
        uri: 'https://b.example/apt',
        suites: ['stable'],
        components: ['main'],
        signedBy: '/usr/share/keyrings/b.gpg',
      },
    ])
  })

  it("give the distribution's own archive, not a vendor's, its security suite or a disc", () => {
    const archives = parseOneLineSources(`
deb cdrom:[Debian]/ bookworm main
deb http://vendor.example nodistro main
deb http://security.example/debian-security bookworm-security main
deb http://mirror.example/debian bookworm main
`)
    expect(distributionArchive(archives, 'bookworm')?.uri).toBe('http://mirror.example/debian')
    expect(distributionArchive(archives.slice(0, 3), 'bookworm')).toBeUndefined()
  })

  it('become a stanza that asks for the packages of one suite from the same mirror with the same key', () => {
    const archive = {
      uri: 'http://m.example/debian',
      suites: [],
      components: ['main', 'non-free'],
      signedBy: '/k.gpg',
    }
    const [read] = parseDeb822Sources(sourceStanza(archive, 'sid', 'arm64'))
    expect(read).toEqual({ uri: archive.uri, suites: ['sid'], components: ['main'], signedBy: '/k.gpg' })
    expect(sourceStanza(archive, 'sid', 'arm64')).toContain('\nTargets: Packages\n')
  })
})
