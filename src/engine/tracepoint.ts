/**
 * Tracepoints: named places of the model where monitors, reports and tests attach, as
 * include/trace/events/ defines them for the kernel. Names and fields are the kernel's where it has
 * the event (`migrate:mm_migrate_pages`), `hetmem:` is the system of our own.
 *
 * An event is numbers only. With nobody attached a tracepoint costs one test of `isEnabled`, which
 * the place itself makes before it computes the fields:
 *
 *     if (trace.mmMigratePages.isEnabled) trace.mmMigratePages.emit(succeeded, failed, …);
 *
 * Order: listeners are called in the order in which they attached. A listener observes; it must not
 * change the model (a monitor that reacts schedules an event).
 */
import { assert } from '../base/assert.ts';
import type { Nanoseconds } from '../base/units.ts';
import type { Clock } from './clock.ts';

/** The values of one event, a number for each field. */
export type FieldValues<Fields extends readonly string[]> = {
  readonly [K in keyof Fields]: number;
};

export type TraceListener = (
  nowNs: Nanoseconds,
  values: readonly number[],
  tracepoint: Tracepoint,
) => void;

export class Tracepoint<Fields extends readonly string[] = readonly string[]> {
  /** `system:event`. */
  readonly name: string;
  readonly fields: Fields;
  /** Whether anyone listens. Written by attach and detach only. */
  isEnabled = false;
  readonly #clock: Clock;
  #listeners: readonly TraceListener[] = [];

  constructor(name: string, fields: Fields, clock: Clock) {
    this.name = name;
    this.fields = fields;
    this.#clock = clock;
  }

  /** Tells all listeners. Callers test `isEnabled` first. */
  emit(...values: FieldValues<Fields>): void {
    for (const listener of this.#listeners) listener(this.#clock.nowNs, values, this);
  }

  /** `listener` hears every event until the returned function is called. */
  attach(listener: TraceListener): () => void {
    this.#listeners = [...this.#listeners, listener];
    this.isEnabled = true;
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
      this.isEnabled = this.#listeners.length > 0;
    };
  }
}

/** All tracepoints of one machine by name: what a monitor can find without knowing the module. */
export class Tracepoints {
  readonly #clock: Clock;
  readonly #byName = new Map<string, Tracepoint>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Preconditions: `name` is `system:event` in lower case and not defined yet. */
  define<const Fields extends readonly string[]>(name: string, fields: Fields): Tracepoint<Fields> {
    assert(/^[a-z0-9_]+:[a-z0-9_]+$/.test(name), `a tracepoint is system:event, not ${name}`);
    assert(!this.#byName.has(name), `tracepoint ${name} is defined already`);
    const tracepoint = new Tracepoint(name, fields, this.#clock);
    this.#byName.set(name, tracepoint as unknown as Tracepoint);
    return tracepoint;
  }

  /** The tracepoint of that name, or null. */
  find(name: string): Tracepoint | null {
    return this.#byName.get(name) ?? null;
  }

  /** All names in the order of definition. */
  names(): string[] {
    return [...this.#byName.keys()];
  }
}
