/**
 * `hetmem record`: runs a program under QEMU's user emulation and writes what its memory sees.
 *
 * QEMU loads native/'s plugin, the plugin streams cache misses and memory system calls into a
 * socket, and here they become a trace file. The program runs some ten to twenty times slower than
 * natively; when the trace cannot be written fast enough it waits.
 * A program that crashes or is killed leaves a whole trace of what it did until then, but for the
 * last 4096 accesses of each thread that were still on their way.
 * Not modelled: programs started with exec (said in `warnings`), wall-clock time.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { arch, cpus, release } from 'node:os';
import { basename } from 'node:path';
import { UserError } from '../base/assert.ts';
import {
  type ByteSink,
  type Codec,
  makeHeader,
  type TraceHeader,
  type TraceSummary,
  TraceWriter,
} from '../trace/index.ts';
import { type CacheSetup, cacheLevels, pluginCacheOptions } from './record/cachePreset.ts';
import { ensureNative, findQemu, type Qemu } from './record/nativeBuild.ts';
import { type ProgramFile, resolveProgram } from './record/programFile.ts';
import { RecordStreams } from './record/streams.ts';
import { type RecordLimits, TraceFeed } from './record/traceFeed.ts';

export * from './record/cachePreset.ts';
export { ensureNative, findQemu } from './record/nativeBuild.ts';
export { NO_LIMITS, type RecordLimits } from './record/traceFeed.ts';

/** A slice spans about this many instructions at most. */
export const SLICE_INSNS_DEFAULT = 1_000_000;
const PROGRESS_MS = 100;
/** So long nothing may come after the exit before the recording is over: children connect late. */
const STRAGGLER_MS = 150;
/** After an interrupt: how long the program may take by itself, and after SIGTERM. */
const INTERRUPT_TERM_MS = 1000;
const INTERRUPT_KILL_MS = 4000;

export interface RecordOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Takes the trace; its errors (full disk) stop the program and are rethrown. */
  readonly sink: ByteSink;
  readonly codec: Codec;
  readonly cache: CacheSetup;
  readonly limits: RecordLimits;
  readonly sliceInsns: number;
  /** Large anonymous mappings start at 2 MiB boundaries, as Linux places them since 6.7. */
  readonly isAligningHuge: boolean;
  /** Folder of the plugin's sources (native/). */
  readonly nativeFolder: string;
  /** For the header. */
  readonly version: string;
  readonly date: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** Where the program's output goes; its input is ours. */
  readonly stdio?: 'inherit' | 'ignore';
  /** Stops the program; the trace until then is kept. */
  readonly interrupt?: AbortSignal;
  readonly onProgress?: (progress: RecordProgress) => void;
  readonly say?: (text: string) => void;
}

export interface RecordProgress {
  readonly accesses: number;
  readonly insns: number;
  readonly isSkipping: boolean;
  readonly touchedBytes: number;
  readonly fileBytes: number;
  readonly elapsedMs: number;
}

export type StopReason = 'exit' | 'limit' | 'interrupt';

export interface RecordResult extends RecordProgress {
  readonly summary: TraceSummary;
  /** Loads and stores the program made; 0 when it was killed before it could tell. */
  readonly accessesMade: number;
  readonly stoppedBy: StopReason;
  /** Of the program: exit status, or the signal that ended it. */
  readonly status: number | null;
  readonly signal: string | null;
  readonly warnings: readonly string[];
}

/**
 * Records one run of a program.
 * Errors: UserError if QEMU, the compiler or the program is missing or unfit, if QEMU cannot start
 * the program, and those of the sink.
 */
export async function record(options: RecordOptions): Promise<RecordResult> {
  const qemu = findQemu();
  const program = resolveProgram(options.program, options.args);
  const library = ensureNative(options.nativeFolder, options.say);
  return await new Recording(options, qemu, program).run(library);
}

class Recording {
  readonly #options: RecordOptions;
  readonly #qemu: Qemu;
  readonly #program: ProgramFile;
  readonly #writer: TraceWriter;
  readonly #feed: TraceFeed;
  readonly #streams: RecordStreams;
  readonly #startMs = performance.now();
  #child: ChildProcess | null = null;
  #exit: { readonly status: number | null; readonly signal: string | null } | null = null;
  #stoppedBy: StopReason = 'exit';
  #quietSinceMs = 0;
  #settle: (error: unknown) => void = () => {};

  constructor(options: RecordOptions, qemu: Qemu, program: ProgramFile) {
    this.#options = options;
    this.#qemu = qemu;
    this.#program = program;
    this.#writer = new TraceWriter(
      options.sink,
      recordHeader(options, qemu, program),
      options.codec,
    );
    this.#feed = new TraceFeed(this.#writer, basename(options.program), options.limits);
    this.#streams = new RecordStreams(
      this.#feed,
      () => this.#check(),
      (error) => this.#settle(error),
    );
  }

  async run(library: string): Promise<RecordResult> {
    const interrupt = this.#options.interrupt;
    const onInterrupt = () => this.#interrupted();
    const timer = setInterval(() => this.#tick(), PROGRESS_MS);
    try {
      await this.#streams.listen();
      const ended = new Promise<void>((resolve, reject) => {
        this.#settle = (error) => (error === null ? resolve() : reject(error));
      });
      this.#start(library);
      interrupt?.addEventListener('abort', onInterrupt);
      if (interrupt?.aborted) this.#interrupted();
      await ended;
    } finally {
      clearInterval(timer);
      interrupt?.removeEventListener('abort', onInterrupt);
      this.#signal('SIGKILL');
      this.#streams.close();
    }
    return this.#finish();
  }

  #start(library: string): void {
    const { cache, sliceInsns, isAligningHuge, stdio, environment } = this.#options;
    const plugin = [
      library.replaceAll(',', ',,'),
      `socket=${this.#streams.path.replaceAll(',', ',,')}`,
      pluginCacheOptions(cache),
      `slice=${sliceInsns}`,
      `alignhuge=${isAligningHuge ? 1 : 0}`,
    ].join(',');
    const { path, args } = this.#program;
    const child = spawn(
      this.#qemu.path,
      ['-plugin', plugin, '-0', this.#options.program, path, ...args],
      {
        stdio: stdio ?? 'inherit',
        env: environment ?? process.env,
      },
    );
    this.#child = child;
    child.on('error', (error) => {
      this.#settle(new UserError(this.#qemu.path, `cannot be started: ${error.message}`));
    });
    child.on('exit', (status, signal) => {
      this.#exit = { status, signal };
      this.#check();
    });
  }

  /** The program is over when it has exited and nothing is left to come from its children. */
  #check(): void {
    this.#quietSinceMs = performance.now();
    if (this.#feed.isFull && this.#stoppedBy !== 'limit') {
      this.#stoppedBy = 'limit';
      this.#settle(null);
    }
  }

  #tick(): void {
    this.#options.onProgress?.(this.#progress());
    if (this.#exit === null) return;
    const isQuiet = performance.now() - this.#quietSinceMs > STRAGGLER_MS;
    if (!isQuiet) return;
    if (this.#streams.nrOpen > 0) {
      try {
        this.#feed.releaseOrphans();
      } catch (error) {
        this.#settle(error);
      }
      return;
    }
    if (this.#feed.hasBegun) {
      this.#settle(null);
      return;
    }
    const how = this.#exit.signal ?? `status ${this.#exit.status}`;
    const what = `QEMU ended with ${how} before the program began`;
    this.#settle(new UserError(this.#program.path, what, 'its message is above'));
  }

  #interrupted(): void {
    this.#stoppedBy = 'interrupt';
    // A ^C on the terminal has reached the program as well; give it the time to end by itself.
    const isOver = () => this.#exit !== null && this.#streams.nrOpen === 0;
    setTimeout(() => isOver() || this.#signal('SIGTERM'), INTERRUPT_TERM_MS).unref();
    setTimeout(() => isOver() || this.#signal('SIGKILL'), INTERRUPT_KILL_MS).unref();
  }

  #signal(signal: NodeJS.Signals): void {
    const pids = new Set(this.#streams.pids());
    if (this.#exit === null && this.#child?.pid !== undefined) pids.add(this.#child.pid);
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  #progress(): RecordProgress {
    const feed = this.#feed;
    return {
      accesses: feed.accesses,
      insns: feed.insns,
      isSkipping: feed.isSkipping,
      touchedBytes: feed.touchedPages * 4096,
      fileBytes: this.#writer.bytesWritten,
      elapsedMs: performance.now() - this.#startMs,
    };
  }

  #finish(): RecordResult {
    const feed = this.#feed;
    const facts = {
      stoppedBy: this.#stoppedBy,
      accessesMade: feed.accessesMade,
      insnsSkipped: feed.insnSkipped,
      warnings: feed.warnings.join('; '),
    };
    const summary = this.#writer.finish(facts);
    return {
      ...this.#progress(),
      summary,
      accessesMade: feed.accessesMade,
      stoppedBy: this.#stoppedBy,
      status: this.#exit?.status ?? null,
      signal: this.#exit?.signal ?? null,
      warnings: feed.warnings,
    };
  }
}

function recordHeader(options: RecordOptions, qemu: Qemu, program: ProgramFile): TraceHeader {
  const { cache, limits } = options;
  const filter = cacheLevels(cache);
  const notes = [
    filter.length === 0
      ? 'every load and store is recorded'
      : 'read: a load missed all modelled caches; write: a store made a line dirty that was ' +
        'clean or absent, so one write-back follows',
    'the kernel’s copies for read, write, send and receive are accesses of the calling thread',
    'addresses are those of QEMU’s user emulation' +
      (options.isAligningHuge ? '; large anonymous mappings aligned to 2 MiB as by Linux' : ''),
  ];
  if (limits.skipInsn > 0)
    notes.push(
      `of the first ${limits.skipInsn} instructions only calls and first touches of pages are kept`,
    );
  return makeHeader({
    program: options.program,
    args: options.args,
    recorder: { name: 'hetmem record', version: options.version },
    accessKind: filter.length === 0 ? 'all' : 'cache-misses',
    filter,
    timeBase: { unit: 'instructions', unitsPerSecond: 0 },
    host: `${cpus()[0]?.model.trim() ?? arch()}, Linux ${release()}, QEMU ${qemu.version}`,
    date: options.date,
    notes,
    history: program.path === options.program ? [] : [`ran ${program.path}`],
  });
}
