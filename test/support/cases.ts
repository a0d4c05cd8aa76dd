/** How many cases a property test tries: as many as it says, or `DROVER_TEST_CASES` where that is set. */
export const cases = (ordinary: number): number => Number(process.env['DROVER_TEST_CASES'] ?? ordinary)
