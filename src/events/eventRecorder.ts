/** Hands the events of all tracepoints of a kernel, with the task that runs, to a sink. */
import type { Nanoseconds } from '../base/units.ts';
import type { Kernel } from '../mm/index.ts';
import { EventFormat } from './eventFormat.ts';
import type { CounterTrack, EventContext, EventSink } from './eventSink.ts';

export class EventRecorder {
  readonly #k: Kernel;
  readonly #sink: EventSink;
  readonly #comm: string;
  readonly #detach: (() => void)[] = [];
  /** Events so far. */
  nrEvents = 0;

  /** `comm`: the name of tasks that have none of their own. */
  constructor(k: Kernel, sink: EventSink, comm: string) {
    this.#k = k;
    this.#sink = sink;
    this.#comm = comm;
    const { points } = k.trace;
    for (const name of points.names()) {
      const point = points.find(name)!;
      const format = new EventFormat(name, point.fields);
      this.#detach.push(point.attach((nowNs, values) => this.#event(nowNs, format, values)));
    }
  }

  /** A value to draw over time. */
  counter(nowNs: Nanoseconds, track: CounterTrack, value: number): void {
    this.#sink.counter(nowNs, track, value);
  }

  /** Hears no more; the sink is complete. */
  end(): void {
    for (const detach of this.#detach) detach();
    this.#sink.end();
  }

  #event(nowNs: Nanoseconds, format: EventFormat, values: readonly number[]): void {
    this.nrEvents++;
    this.#sink.event(nowNs, this.#task(), format, values);
  }

  #task(): EventContext {
    const { pid, cpu, comms } = this.#k.trace;
    const tgid = this.#k.tasks.get(pid)?.tgid ?? pid;
    const comm = comms.get(pid) ?? comms.get(tgid) ?? (pid === 0 ? '<idle>' : this.#comm);
    return { pid, tgid, cpu, comm };
  }
}
