/**
 * Files of a run's events: which name each run's has, and writing one. A file appears under its
 * name when the run is over; a run that fails leaves none.
 *
 * The ending chooses the form: .txt is ftrace text, .pftrace (or .perfetto-trace) a Perfetto trace.
 */
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { extname } from 'node:path';
import { UserError } from '../base/assert.ts';
import { type EventSink, FtraceText, PerfettoTrace } from '../events/index.ts';
import { BASELINE, type Experiment, formatRatio, type PlannedRun } from '../experiment/index.ts';

const PERFETTO_ENDINGS: readonly string[] = ['.pftrace', '.perfetto-trace'];
const TEXT_ENDING = '.txt';

/** Errors: UserError for an ending that chooses no form. */
export function checkEventPath(path: string): void {
  const ending = extname(path);
  if (ending === TEXT_ENDING || PERFETTO_ENDINGS.includes(ending)) return;
  const remedy = '.txt for ftrace text, .pftrace for a Perfetto trace';
  throw new UserError(path, 'has no ending that chooses a form of events', remedy);
}

/**
 * The file of each run, '' for those without one: all-DRAM runs and runs that cannot be made. One
 * run's file is `path`; with several, what tells them apart stands before the ending.
 */
export function eventPaths(
  path: string,
  experiment: Experiment,
  runs: readonly PlannedRun[],
): string[] {
  const isRecorded = (run: PlannedRun) => run.policy !== BASELINE && run.spec !== null;
  const isAlone = runs.filter(isRecorded).length === 1;
  return runs.map((run) => {
    if (!isRecorded(run)) return '';
    if (isAlone) return path;
    const ending = extname(path);
    return `${path.slice(0, -ending.length)}.${runName(experiment, run)}${ending}`;
  });
}

/** redis.dram-cxl-asic-1:2.hemem, and the seed where there are several. */
function runName(experiment: Experiment, run: PlannedRun): string {
  const { machine, ratio } = experiment.machines[run.machine]!;
  const size = ratio === null ? '' : `-${formatRatio(ratio)}`;
  const parts = [
    experiment.workloads[run.workload]!.name,
    `${machine}${size}`,
    experiment.policies[run.policy]!.label,
    ...(experiment.seeds.length > 1 ? [`seed${run.seed}`] : []),
  ];
  return parts
    .map((part) =>
      part
        .replace(/[^\w.:=+-]+/g, ' ')
        .trim()
        .replace(/ /g, '_'),
    )
    .join('.');
}

/** The file of one run while it is written. */
export class EventFile {
  readonly sink: EventSink;
  readonly #path: string;
  readonly #temporary: string;
  #fd: number;

  /** Errors: UserError if it cannot be written. */
  constructor(path: string) {
    this.#path = path;
    this.#temporary = `${path}.${process.pid}.tmp`;
    this.#fd = this.#try(() => openSync(this.#temporary, 'w'));
    const isText = extname(path) === TEXT_ENDING;
    this.sink = isText
      ? new FtraceText((text) => this.#write(Buffer.from(text)))
      : new PerfettoTrace((bytes) => this.#write(bytes));
  }

  commit(): void {
    this.#try(() => {
      closeSync(this.#fd);
      this.#fd = -1;
      renameSync(this.#temporary, this.#path);
    });
  }

  /** Leaves nothing behind; does nothing after commit. */
  discard(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
    rmSync(this.#temporary, { force: true });
  }

  #write(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) done += this.#try(() => writeSync(this.#fd, bytes, done));
  }

  #try<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UserError(this.#path, `cannot be written: ${reason}`);
    }
  }
}
