/**
 * Assertions for broken invariants of the model.
 *
 * Three kinds of error exist (STYLE.md): a broken invariant throws InvariantError and the run
 * dies; kernel-like failure is a negative errno that is *returned*; bad user input is a UserError.
 */

/** A broken invariant of the model itself: always a bug in hetmem. */
export class InvariantError extends Error {
  override name = 'InvariantError';
}

/** Bad input from the user: `place` says where, `remedy` what to do about it. */
export class UserError extends Error {
  override name = 'UserError';
  readonly place: string;
  readonly remedy: string;

  constructor(place: string, problem: string, remedy = '') {
    super(`${place}: ${problem}${remedy === '' ? '' : ` (${remedy})`}`);
    this.place = place;
    this.remedy = remedy;
  }
}

/**
 * Throws InvariantError with `what` unless `condition` holds. `detail` (a frame, a page, a time) is
 * added to the message; a message built at every call would cost more than the check.
 */
export function assert(condition: boolean, what: string, detail?: number): asserts condition {
  if (!condition) throw new InvariantError(detail === undefined ? what : `${what}: ${detail}`);
}
