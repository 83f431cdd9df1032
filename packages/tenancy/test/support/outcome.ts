/** The code of an error of the library or of PostgreSQL. */
const codeOf = (error: { code?: string }) => error.code

/** What came of something: `done`, or the code of the error it ended with. */
export const outcomeOf = (work: Promise<unknown>) => work.then(() => 'done', codeOf)
