/**
 * The machine while its programs still hold their memory: counters and residency just before the
 * last program exits. At the very end gauges would be 0.
 */
import type { Kernel } from '../mm/index.ts';
import type { TraceEvent } from '../trace/index.ts';
import type { Series } from './series.ts';
import type { TracePrograms } from './traceProgram.ts';

export class LastLook {
  readonly #k: Kernel;
  readonly #series: Series;
  #vmstat: ReadonlyMap<string, number> | null = null;
  #residentPages: readonly number[] | null = null;

  constructor(k: Kernel, series: Series) {
    this.#k = k;
    this.#series = series;
  }

  /** An event is about to be carried out. */
  before(event: TraceEvent, programs: TracePrograms): void {
    if (event.kind !== 'exit_group') return;
    const live = programs.processes.filter((state) => state !== null && state !== undefined);
    if (live.length !== 1 || programs.processes[event.pid] !== live[0]) return;
    this.#vmstat = this.#k.vmstat.snapshot();
    this.#residentPages = this.#k.pm.nodes.map(({ nid }) => this.#series.residentPages(nid));
  }

  /** /proc/vmstat by name; as it is now if no program has exited. */
  get vmstat(): ReadonlyMap<string, number> {
    return this.#vmstat ?? this.#k.vmstat.snapshot();
  }

  /** Mapped pages of programs on a node. */
  residentPages(nid: number): number {
    return this.#residentPages?.[nid] ?? this.#series.residentPages(nid);
  }
}
