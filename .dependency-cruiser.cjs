// The rooms of src/, top to ground. A room imports only rooms below it, and only their face (index.ts).
const rooms = [
  'cli',
  'server',
  'api',
  'cluster',
  'simulation',
  'routing',
  'placement',
  'engines',
  'models',
  'prompts',
  'hardware',
  'inference',
  'security',
  'observability',
  'config',
  'core',
]

// Tests, and what only tests use: `name.test.ts`, `name.fixture.ts`, `testing.ts`, `testing/`.
const testsOnly = '(\\.(test|fixture)\\.ts$|/testing(/|\\.ts$))'

const downwardOnly = rooms.slice(1).map((room, index) => ({
  name: `${room}-reaches-up`,
  severity: 'error',
  comment: `Arrows go down the list of rooms only: ${room} may not import what stands above it.`,
  from: { path: `^src/${room}/` },
  to: { path: `^src/(${rooms.slice(0, index + 1).join('|')})/` },
}))

module.exports = {
  forbidden: [
    ...downwardOnly,
    {
      name: 'through-the-face',
      severity: 'error',
      comment: 'Another room is imported by its index.ts only.',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/([^/]+)/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'product-needs-no-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: testsOnly },
      to: { path: `^(test|bench|tools)/|${testsOnly}` },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared-dependencies-only',
      severity: 'error',
      from: { path: '^src/', pathNot: testsOnly },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'pure-prompts',
      severity: 'error',
      from: { path: '^src/(prompts|placement)/', pathNot: testsOnly },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
