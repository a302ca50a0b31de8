/**
 * Workloads: as a source that replay consumes, and what must be known of them before a run: how
 * many pages they touch (machines are sized by it) and where they come from (reports say it).
 */
import { createHash } from 'node:crypto';
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import {
  formatBytes,
  programsOf,
  type TraceProvenance,
  type WorkloadFacts,
  type WorkloadSpec,
} from '../experiment/index.ts';
import { type FileSource, openTraceFile } from '../live/index.ts';
import { type Knob, resolveKnobs } from '../policy/index.ts';
import {
  type CacheLevel,
  END,
  EVENT,
  TogetherSource,
  type TraceHeader,
  type TraceSource,
} from '../trace/index.ts';
import { findWorkload, openWorkload, type WorkloadDescription } from '../workload/index.ts';
import type { Library } from './library.ts';

/** A source, to be closed after use. */
export interface OpenWorkload {
  readonly source: TraceSource;
  readonly close: () => void;
}

/** What a run needs to open its workload, wherever it is done. */
export interface WorkloadPlace {
  readonly workload: WorkloadSpec;
  /** Path of the trace of each program; '' for a synthetic one. */
  readonly tracePaths: readonly string[];
}

/** Where the programs of a workload are. */
export function placeOf(
  workload: WorkloadSpec,
  library: Pick<Library, 'tracePath'>,
): WorkloadPlace {
  const tracePaths = programsOf(workload).map(({ trace }) => {
    return trace === '' ? '' : library.tracePath(trace);
  });
  return { workload, tracePaths };
}

/** What is known of a workload before its runs. */
export interface KnownWorkload extends WorkloadFacts {
  /** Files that it reads and writes, as far as it does: what the page cache can grow to. */
  readonly fileBytes: number;
  /** Accesses of one run, for progress. */
  readonly accesses: number;
  /** Misses a core has in flight with this workload; null = as the machine has it. */
  readonly memoryParallelism: number | null;
}

/** Errors: UserError for a file that is no trace, or cannot be read. */
export async function openSource(place: WorkloadPlace, seed: number): Promise<OpenWorkload> {
  const programs = programsOf(place.workload);
  const opened: OpenWorkload[] = [];
  const close = () => {
    for (const one of opened) one.close();
  };
  try {
    for (const [i, program] of programs.entries()) {
      opened.push(await openProgram(program, place.tracePaths[i]!, seed));
    }
  } catch (error) {
    close();
    throw error;
  }
  if (opened.length === 1) return opened[0]!;
  const sources = opened.map(({ source }) => source);
  return {
    source: new TogetherSource(
      programs.map(({ name }) => name),
      sources,
    ),
    close,
  };
}

async function openProgram(
  workload: WorkloadSpec,
  tracePath: string,
  seed: number,
): Promise<OpenWorkload> {
  if (workload.trace !== '') {
    const { reader, source } = await openTraceFile(tracePath);
    return { source: reader, close: () => source.close() };
  }
  const { description, values } = generatorOf(workload);
  return { source: openWorkload(description, values, seed), close: () => {} };
}

/**
 * What is known of a workload without running it.
 * Errors: UserError for a file that is no trace, cannot be read, or was never finished.
 */
export async function knowWorkload(place: WorkloadPlace, seed: number): Promise<KnownWorkload> {
  const known: KnownWorkload[] = [];
  for (const [i, program] of programsOf(place.workload).entries()) {
    const isTrace = program.trace !== '';
    known.push(
      isTrace ? await knowTrace(program, place.tracePaths[i]!) : knowGenerator(program, seed),
    );
  }
  if (known.length === 1) return known[0]!;
  const sum = (of: (one: KnownWorkload) => number) => known.reduce((n, one) => n + of(one), 0);
  return {
    footprintPages: sum(({ footprintPages }) => footprintPages),
    provenance: null,
    programs: known,
    fileBytes: sum(({ fileBytes }) => fileBytes),
    accesses: sum(({ accesses }) => accesses),
    // A machine has one number: that of the first program which has its own.
    memoryParallelism:
      known.find(({ memoryParallelism }) => memoryParallelism !== null)?.memoryParallelism ?? null,
  };
}

function generatorOf(workload: WorkloadSpec) {
  const description = findWorkload(workload.generator);
  const place = `workload ${workload.name}`;
  if (description === null) {
    throw new UserError(place, `no generator ${workload.generator}`, 'hetmem policies names them');
  }
  const knobs: readonly Knob[] = description.knobs;
  const { values, problems } = resolveKnobs(knobs, workload.params);
  const [problem] = problems;
  if (problem !== undefined) throw new UserError(place, problem.problem, problem.remedy);
  return { description, values };
}

function knowGenerator(workload: WorkloadSpec, seed: number): KnownWorkload {
  const { description, values } = generatorOf(workload);
  const source = openWorkload(description, values, seed);
  const filePages = description
    .programs(values, seed)
    .reduce((sum, program) => sum + (program.filePages ?? 0), 0);
  return {
    footprintPages: pagesOf(description, values, seed),
    provenance: null,
    programs: [],
    fileBytes: filePages * PAGE_SIZE,
    accesses: source.totals?.accesses ?? 0,
    memoryParallelism: description.memoryParallelism,
  };
}

/** Memory of the programs; what is not filled at first may be touched only in part. */
function pagesOf(
  description: WorkloadDescription,
  values: Parameters<WorkloadDescription['programs']>[0],
  seed: number,
): number {
  return description.programs(values, seed).reduce((sum, { nrPages }) => sum + nrPages, 0);
}

async function knowTrace(workload: WorkloadSpec, tracePath: string): Promise<KnownWorkload> {
  // Pages are not looked at here, so nobody needs to unpack them.
  const { reader, source } = await openTraceFile(tracePath, { wantsPages: () => false });
  try {
    const { summary, header } = reader;
    if (summary === null) {
      throw new UserError(
        tracePath,
        'the trace was never finished, so nobody knows how much it touches',
        'hetmem trace cut --salvage -o NEW.hmt makes a finished one of it',
      );
    }
    return {
      footprintPages: summary.processes.reduce((sum, { touchedPages }) => sum + touchedPages, 0),
      provenance: provenanceOf(workload.trace, source, header),
      programs: [],
      fileBytes: fileBytesOf(reader),
      accesses: summary.accesses,
      memoryParallelism: null,
    };
  } finally {
    source.close();
  }
}

/** Up to where each file is read, written or mapped, together. */
function fileBytesOf(source: TraceSource): number {
  const ends = new Map<number, number>();
  for (let kind = source.next(); kind !== END; kind = source.next()) {
    if (kind !== EVENT) continue;
    const { event } = source;
    if (event.kind !== 'read' && event.kind !== 'write' && event.kind !== 'mmap') continue;
    if (event.file < 0) continue;
    const bytes = event.kind === 'mmap' ? event.len : event.bytes;
    ends.set(event.file, Math.max(ends.get(event.file) ?? 0, event.offset + bytes));
  }
  return [...ends.values()].reduce((sum, end) => sum + end, 0);
}

/** `name` is the trace as the experiment names it: results must not depend on where hetmem lies. */
function provenanceOf(name: string, source: FileSource, header: TraceHeader): TraceProvenance {
  return {
    file: name,
    sizeBytes: source.sizeBytes,
    sha256: sha256Of(source),
    program: header.program,
    args: header.args,
    recorder: `${header.recorder.name} ${header.recorder.version}`.trim(),
    accessKind: header.accessKind,
    filter: header.filter.map(cacheText).join(', '),
    host: header.host,
    date: header.date,
    notes: header.notes,
    history: header.history,
  };
}

function cacheText({ name, sizeBytes, ways, shared }: CacheLevel): string {
  return `${name} ${formatBytes(sizeBytes)} ${ways}-way${shared ? ' shared' : ''}`;
}

const CHUNK_BYTES = 1 << 20;

function sha256Of(source: FileSource): string {
  const hash = createHash('sha256');
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let offset = 0; offset < source.sizeBytes; ) {
    const length = source.read(offset, chunk);
    if (length === 0) break;
    hash.update(chunk.subarray(0, length));
    offset += length;
  }
  return hash.digest('hex');
}
