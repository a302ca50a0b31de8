/** The kernel did what the naive model does not allow. */
export class Mismatch extends Error {}
