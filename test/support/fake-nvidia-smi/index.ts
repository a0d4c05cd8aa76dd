export { eightCards, model } from './cards.ts'
export { createFakeHost, type FakeHost } from './host.ts'
export { sickCard, story } from './story.ts'
