/**
 * One line on stderr that says how far a long job is: `replaying  42%  3.1 s left`. Only on a
 * terminal; a log file gets nothing. It is redrawn at most ten times a second and removed at the
 * end, so output that follows starts on a clean line.
 */

export interface ProgressOptions {
  /** Where the line goes, and whether there is one; a terminal is asked for its width. */
  readonly stream?: NodeJS.WriteStream;
  /** Milliseconds since some start; for tests. */
  readonly nowMs?: () => number;
}

const REDRAW_MS = 100;
/** Before this the rate is a guess, and a short job needs no estimate. */
const ESTIMATE_AFTER_MS = 2000;

export class Progress {
  readonly #label: string;
  readonly #stream: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  #drawnMs = -Infinity;
  #isShown = false;

  constructor(label: string, options: ProgressOptions = {}) {
    this.#label = label;
    this.#stream = options.stream ?? process.stderr;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#startMs = this.#nowMs();
  }

  /**
   * `done` of `total` in any unit; a `total` of 0 is unknown. `note` is shown behind. Cheap enough
   * to be called for every chunk of work.
   */
  update(done: number, total: number, note = ''): void {
    if (this.#stream.isTTY !== true) return;
    const nowMs = this.#nowMs();
    if (nowMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = nowMs;
    const parts = [this.#label];
    if (total > 0) parts.push(`${Math.floor((100 * Math.min(done, total)) / total)}%`);
    const left = this.#leftMs(nowMs, done, total);
    if (left !== null) parts.push(`${formatDuration(left)} left`);
    if (note !== '') parts.push(note);
    const text = parts.join('  ').slice(0, (this.#stream.columns || 80) - 1);
    this.#stream.write(`\r${text}\x1b[K`);
    this.#isShown = true;
  }

  /** Removes the line, before other output and at the end. */
  clear(): void {
    if (this.#isShown) this.#stream.write('\r\x1b[K');
    this.#isShown = false;
  }

  #leftMs(nowMs: number, done: number, total: number): number | null {
    const spentMs = nowMs - this.#startMs;
    if (spentMs < ESTIMATE_AFTER_MS || done <= 0 || done >= total) return null;
    return (spentMs * (total - done)) / done;
  }
}

/** Milliseconds as people say it: `850 ms`, `3.1 s`, `42 s`, `2 min 05 s`, `1 h 02 min`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 9950) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
