/** Who takes the events of a run: ftrace text or a Perfetto trace. */
import type { Nanoseconds } from '../base/units.ts';
import type { EventFormat } from './eventFormat.ts';

/** The task that an event happened to. */
export interface EventContext {
  readonly pid: number;
  /** Of its process. */
  readonly tgid: number;
  readonly cpu: number;
  readonly comm: string;
}

/** A value that is drawn over time. */
export interface CounterTrack {
  readonly name: string;
  /** `KiB`, `MB/s`. */
  readonly unit: string;
}

export interface EventSink {
  event(
    nowNs: Nanoseconds,
    task: EventContext,
    format: EventFormat,
    values: readonly number[],
  ): void;
  counter(nowNs: Nanoseconds, track: CounterTrack, value: number): void;
  /** Nothing comes after. */
  end(): void;
}
