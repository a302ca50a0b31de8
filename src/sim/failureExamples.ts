/**
 * Examples of pages that did not move, for the reader of a result: the first few of each cause,
 * with the owner that each had soon after it failed. The failure log itself keeps frames only.
 */
import { FAILURE_CAUSES, type Kernel } from '../mm/index.ts';
import { exampleText } from '../why/index.ts';

/** Examples of one cause. */
const EXAMPLES_MAX = 3;

export class FailureExamples {
  /** By cause: one line an example. */
  readonly texts: readonly string[][] = FAILURE_CAUSES.map(() => []);
  #seen = 0;

  /** Looks at what was recorded since the last call. */
  look(k: Kernel): void {
    const { frame, cause, written } = k.failures;
    if (written === this.#seen) return;
    const ring = frame.length;
    for (let n = Math.max(this.#seen, written - ring); n < written; n++) {
      const texts = this.texts[cause[n % ring]];
      if (texts.length >= EXAMPLES_MAX || frame[n % ring] < 0) continue;
      const text = exampleText(k, frame[n % ring]);
      if (!texts.includes(text)) texts.push(text);
    }
    this.#seen = written;
  }
}
