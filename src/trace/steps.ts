/**
 * Long work in steps: a generator that yields how far it is and returns its result.
 *
 * The pure ring has no event loop; a command drives the steps and gives the loop its turns between
 * them, so that ^C works and progress shows. Whoever does not care runs them in one go.
 */

/** Runs all steps at once; the result of the last. */
export function runSteps<Result>(steps: Generator<unknown, Result, void>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
