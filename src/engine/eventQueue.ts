/**
 * What happens later: events in virtual time with a total order, so that two runs agree byte for
 * byte (design 3.9). Kernel threads (kswapd, kdamond, task work), phases of migrations, samplers
 * and policies are events; memory accesses are not (they are replayed in batches between events).
 *
 * Order: by time; events of the same time in the order in which they were scheduled. An event may
 * schedule others, also for the present time: they come after all that are already due.
 *
 * An event calls `handler.onEvent(nowNs, arg)`. Handlers are long-lived objects and `arg` is a
 * number (a pid, a nid, a row of the handler's own table), so scheduling allocates nothing.
 */
import { assert } from '../base/assert.ts';
import { Heap } from '../base/heap.ts';
import type { Nanoseconds } from '../base/units.ts';
import type { VirtualClock } from './clock.ts';

export interface EventHandler {
  onEvent(nowNs: Nanoseconds, arg: number): void;
}

/** Names a scheduled event until it has fired or was cancelled. Never reused, never 0. */
export type EventId = number;

/** In #idOf: the slot is free, or its event was cancelled and waits in the heap to be dropped. */
const NO_EVENT = 0;

export class EventQueue {
  readonly clock: VirtualClock;
  /** time, id -> slot. The id is the sequence number that orders equal times. */
  readonly #heap = new Heap(64);
  /** Slot -> id of the event in it | NO_EVENT. */
  readonly #idOf: number[] = [];
  readonly #handlerOf: (EventHandler | null)[] = [];
  readonly #argOf: number[] = [];
  readonly #freeSlots: number[] = [];
  /** Id -> slot, for cancel. Invariant: its keys are exactly the events that will fire. */
  readonly #slotOf = new Map<EventId, number>();
  #lastId = 0;

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  /** Events that will fire. */
  get length(): number {
    return this.#slotOf.size;
  }

  /** Time of the next event; Infinity if there is none. */
  get nextNs(): Nanoseconds {
    this.#dropCancelled();
    return this.#heap.firstKey;
  }

  /**
   * Calls `handler` at `atNs`.
   * Preconditions: `atNs` is whole and not before now.
   */
  schedule(atNs: Nanoseconds, handler: EventHandler, arg = 0): EventId {
    assert(Number.isSafeInteger(atNs), 'an event at no whole nanosecond', atNs);
    assert(atNs >= this.clock.nowNs, 'an event before now, at', atNs);
    const id = ++this.#lastId;
    const slot = this.#freeSlots.pop() ?? this.#idOf.length;
    this.#idOf[slot] = id;
    this.#handlerOf[slot] = handler;
    this.#argOf[slot] = arg;
    this.#slotOf.set(id, slot);
    this.#heap.push(atNs, id, slot);
    return id;
  }

  /** `delayNs` from now. */
  scheduleAfter(delayNs: Nanoseconds, handler: EventHandler, arg = 0): EventId {
    return this.schedule(this.clock.nowNs + delayNs, handler, arg);
  }

  /** Whether the event was still to come; it will not fire. */
  cancel(id: EventId): boolean {
    const slot = this.#slotOf.get(id);
    if (slot === undefined) return false;
    this.#slotOf.delete(id);
    this.#idOf[slot] = NO_EVENT;
    this.#handlerOf[slot] = null;
    return true;
  }

  /**
   * Fires everything that is due up to and including `limitNs`, what these events schedule within
   * the limit included, then lets the clock stand at `limitNs`. Returns the number of events fired.
   */
  runUntil(limitNs: Nanoseconds): number {
    let nrFired = 0;
    while (this.nextNs <= limitNs) {
      this.#fire();
      nrFired++;
    }
    if (limitNs > this.clock.nowNs) this.clock.advanceTo(limitNs);
    return nrFired;
  }

  /** Fires the next event, advancing the clock to it. False if there is none. */
  step(): boolean {
    if (this.nextNs === Number.POSITIVE_INFINITY) return false;
    this.#fire();
    return true;
  }

  /** The slot is free before the handler runs, which may schedule its next event into it. */
  #fire(): void {
    const atNs = this.#heap.firstKey;
    const slot = this.#heap.pop();
    const handler = this.#handlerOf[slot];
    assert(handler !== null, 'a cancelled event fired');
    this.#slotOf.delete(this.#idOf[slot]);
    this.#release(slot);
    // The replay loop may have advanced the clock past the event within its quantum.
    if (atNs > this.clock.nowNs) this.clock.advanceTo(atNs);
    handler.onEvent(this.clock.nowNs, this.#argOf[slot]);
  }

  #dropCancelled(): void {
    while (this.#heap.length > 0 && this.#idOf[this.#heap.firstItem] === NO_EVENT) {
      this.#freeSlots.push(this.#heap.pop());
    }
  }

  #release(slot: number): void {
    this.#idOf[slot] = NO_EVENT;
    this.#handlerOf[slot] = null;
    this.#freeSlots.push(slot);
  }
}
