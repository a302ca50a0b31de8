/**
 * Runs in worker threads, as many at a time as there are jobs. A thread that dies (no memory) takes
 * its run with it and no other.
 */
import { Piscina } from 'piscina';
import type { RunOutcome } from '../experiment/index.ts';
import type { RunTask } from './worker.ts';

/** The compiled worker; it lies beside this file. */
const WORKER = new URL('./worker.js', import.meta.url).href;

export class RunPool {
  readonly #pool: Piscina<RunTask, RunOutcome>;
  /** Settles when no thread can be started: piscina would let waiting runs wait for ever. */
  readonly #broken: Promise<RunOutcome>;
  #breakWith: (outcome: RunOutcome) => void = () => {};

  /** `worker`: for tests, a module whose default export takes a RunTask. */
  constructor(jobs: number, worker = WORKER) {
    this.#pool = new Piscina({
      filename: worker,
      minThreads: 1,
      maxThreads: jobs,
      idleTimeout: Number.POSITIVE_INFINITY,
      // A run is long: waiting for its next task must not block a thread's own event loop.
      atomics: 'disabled',
    });
    this.#broken = new Promise((resolve) => {
      this.#breakWith = resolve;
    });
    this.#pool.on('error', (error) => this.#breakWith(crash(error)));
  }

  /** Never rejects. */
  async run(task: RunTask): Promise<RunOutcome> {
    try {
      return await Promise.race([this.#pool.run(task), this.#broken]);
    } catch (error) {
      const outcome = crash(error);
      // A thread that dies at work is replaced; one whose code cannot be loaded is not.
      if (this.#pool.threads.length === 0) this.#breakWith(outcome);
      return outcome;
    }
  }

  /** Ends the threads, also those at work. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function crash(error: unknown): RunOutcome {
  const message = error instanceof Error ? error.message : String(error);
  return { failure: { kind: 'crash', message: `the run's thread died: ${message}` } };
}
