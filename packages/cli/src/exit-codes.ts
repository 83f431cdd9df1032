/** What the shell is told. */
export const exitCodes = { well: 0, differs: 1, unusable: 2, interrupted: 130 } as const
