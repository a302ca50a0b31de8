/**
 * Provenance of a trace: what ran, what recorded it, what was left out.
 *
 * The header is the JSON of the first chunk of a file (FORMATS.md); a synthetic workload makes one
 * with `syntheticHeader`. Whatever a result depends on (filter, page size, time base) is in here.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';

/** Unit of the thread clocks `insnStart`, `insnEnd` and `insn`. */
export type TimeUnit = 'instructions' | 'nanoseconds' | 'accesses';

/** What the recorded accesses are. */
export type AccessKind =
  /** every load and store */
  | 'all'
  /** those that missed the modelled caches of `filter` */
  | 'cache-misses'
  /** a sample of the accesses (PEBS, IBS) */
  | 'samples'
  /** made up: a generator, or accesses spread over regions with a known count */
  | 'synthetic';

/** One level of the recorder's cache filter. */
export interface CacheLevel {
  readonly name: string;
  readonly sizeBytes: number;
  readonly ways: number;
  readonly lineBytes: number;
  /** One cache for all threads (true) or one per thread (false). */
  readonly shared: boolean;
}

export interface TraceHeader {
  /** Path or name of the program, and its arguments without argv[0]. */
  readonly program: string;
  readonly args: readonly string[];
  readonly recorder: { readonly name: string; readonly version: string };
  readonly accessKind: AccessKind;
  /** Innermost level first; empty when nothing was filtered. */
  readonly filter: readonly CacheLevel[];
  readonly pageSizeBytes: number;
  readonly lineBytes: number;
  readonly timeBase: {
    readonly unit: TimeUnit;
    /** Clock units a second, when known (nanoseconds: 1e9); 0 = unknown. */
    readonly unitsPerSecond: number;
  };
  /** Host, operating system and CPU of the recording, as one line for people. */
  readonly host: string;
  /** ISO 8601, given by the caller; '' when unknown. */
  readonly date: string;
  /** What a reader should know: what was not followed, what was made up. */
  readonly notes: readonly string[];
  /** What was done to the trace since it was recorded (imports, cuts), oldest first. */
  readonly history: readonly string[];
}

const EMPTY_HEADER: TraceHeader = {
  program: '',
  args: [],
  recorder: { name: 'hetmem', version: '' },
  accessKind: 'all',
  filter: [],
  pageSizeBytes: PAGE_SIZE,
  lineBytes: 64,
  timeBase: { unit: 'instructions', unitsPerSecond: 0 },
  host: '',
  date: '',
  notes: [],
  history: [],
};

/** A header with every field not given at its neutral value. */
export function makeHeader(fields: Partial<TraceHeader>): TraceHeader {
  return { ...EMPTY_HEADER, ...fields };
}

/** The header of a generated workload named `name`. */
export function syntheticHeader(name: string, notes: readonly string[] = []): TraceHeader {
  return makeHeader({ program: name, accessKind: 'synthetic', notes });
}

type Json = unknown;

const UNITS: readonly string[] = ['instructions', 'nanoseconds', 'accesses'];
const KINDS: readonly string[] = ['all', 'cache-misses', 'samples', 'synthetic'];

/**
 * Checks the JSON of a header chunk of the present format version.
 * Errors: UserError that names the field.
 */
export function parseHeader(json: Json, place: string): TraceHeader {
  const top = record(json, 'header', place);
  const recorder = record(top.recorder, 'recorder', place);
  const timeBase = record(top.timeBase, 'timeBase', place);
  const header: TraceHeader = {
    program: text(top, 'program', place),
    args: texts(top, 'args', place),
    recorder: { name: text(recorder, 'name', place), version: text(recorder, 'version', place) },
    accessKind: oneOf(top, 'accessKind', KINDS, place) as AccessKind,
    filter: list(top, 'filter', place).map((level) => cacheLevel(level, place)),
    pageSizeBytes: count(top, 'pageSizeBytes', place),
    lineBytes: count(top, 'lineBytes', place),
    timeBase: {
      unit: oneOf(timeBase, 'unit', UNITS, place) as TimeUnit,
      unitsPerSecond: count(timeBase, 'unitsPerSecond', place),
    },
    host: text(top, 'host', place),
    date: text(top, 'date', place),
    notes: texts(top, 'notes', place),
    history: texts(top, 'history', place),
  };
  if (header.pageSizeBytes !== PAGE_SIZE || header.lineBytes !== 64) {
    throw new UserError(
      place,
      `pages of ${header.pageSizeBytes} and lines of ${header.lineBytes} bytes`,
      'only 4096 and 64 are supported',
    );
  }
  return header;
}

function cacheLevel(json: Json, place: string): CacheLevel {
  const level = record(json, 'filter', place);
  return {
    name: text(level, 'name', place),
    sizeBytes: count(level, 'sizeBytes', place),
    ways: count(level, 'ways', place),
    lineBytes: count(level, 'lineBytes', place),
    shared: level.shared === true,
  };
}

function record(json: Json, field: string, place: string): Record<string, Json> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    return json as Record<string, Json>;
  }
  throw wrong(field, 'an object', place);
}

function list(of: Record<string, Json>, field: string, place: string): readonly Json[] {
  const value = of[field];
  if (Array.isArray(value)) return value;
  throw wrong(field, 'a list', place);
}

function text(of: Record<string, Json>, field: string, place: string): string {
  const value = of[field];
  if (typeof value === 'string') return value;
  throw wrong(field, 'a text', place);
}

function texts(of: Record<string, Json>, field: string, place: string): readonly string[] {
  const values = list(of, field, place);
  for (const value of values) {
    if (typeof value !== 'string') throw wrong(field, 'a list of texts', place);
  }
  return values as readonly string[];
}

function count(of: Record<string, Json>, field: string, place: string): number {
  const value = of[field];
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw wrong(field, 'a number of 0 or more', place);
}

function oneOf(
  of: Record<string, Json>,
  field: string,
  choices: readonly string[],
  place: string,
): string {
  const value = text(of, field, place);
  if (choices.includes(value)) return value;
  throw wrong(field, `one of ${choices.join(', ')}`, place);
}

function wrong(field: string, wanted: string, place: string): UserError {
  return new UserError(place, `trace header: ${field} is not ${wanted}`, 'not a hetmem trace?');
}
