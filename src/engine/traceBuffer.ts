/**
 * Keeps the last events of one tracepoint, as a kernel trace buffer in overwrite mode: a ring of
 * numbers that says how many events it lost.
 */
import { Ring } from '../base/ring.ts';
import type { Nanoseconds } from '../base/units.ts';
import type { Tracepoint } from './tracepoint.ts';

export interface TraceRow {
  readonly nowNs: Nanoseconds;
  /** By the tracepoint's field names. */
  readonly values: Readonly<Record<string, number>>;
}

export class TraceBuffer {
  readonly tracepoint: Tracepoint;
  /** Column 0: time; column i + 1: field i. */
  readonly #ring: Ring;
  readonly #detach: () => void;

  /** Attaches to `tracepoint` and keeps its last `capacity` events. */
  constructor(tracepoint: Tracepoint, capacity: number) {
    this.tracepoint = tracepoint;
    this.#ring = new Ring(tracepoint.fields.length + 1, capacity);
    this.#detach = tracepoint.attach((nowNs, values) => this.#keep(nowNs, values));
  }

  /** Events that were overwritten. */
  get nrLost(): number {
    return this.#ring.nrLost;
  }

  /** The kept events, oldest first. */
  rows(): TraceRow[] {
    return Array.from({ length: this.#ring.length }, (_, row) => ({
      nowNs: this.#ring.get(row, 0),
      values: Object.fromEntries(
        this.tracepoint.fields.map((field, i) => [field, this.#ring.get(row, i + 1)]),
      ),
    }));
  }

  /** Forgets what was kept and goes on. */
  clear(): void {
    this.#ring.clear();
  }

  /** Hears no more events; what was kept stays. */
  stop(): void {
    this.#detach();
  }

  #keep(nowNs: Nanoseconds, values: readonly number[]): void {
    this.#ring.push();
    this.#ring.set(0, nowNs);
    for (let i = 0; i < values.length; i++) this.#ring.set(i + 1, values[i]);
  }
}
