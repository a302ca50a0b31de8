/**
 * Importer of `damo record` files of the kinds json and json_compressed (zlib of that JSON).
 *
 * A list of records, one per target: `{target_id, snapshots: [{start_time, end_time, regions:
 * [{start, end, nr_accesses: {samples, percent}, age}]}], intervals: {sample_us, aggr_us}}`.
 * Numbers may be texts with thousands separators and units ("94,219,161,083,904", "1.5 GiB",
 * "1 m 2.5 s"). Snapshots of several targets are brought into the order of their start.
 * Source: damo's record format as of version 3; damonSnapshot.ts says what becomes of a region.
 * Not modelled: streaming: JSON is read whole, so memory grows with the file.
 */
import { UserError } from '../../base/assert.ts';
import type { ByteSource } from '../byteStream.ts';
import { utf8Decode } from '../bytes.ts';
import { InflateError, inflateZlib, isZlib } from '../inflate.ts';
import { DamonFeed, type DamonRegion, type DamonSnapshot, damonHeader } from './damonSnapshot.ts';
import type { ImportFormat } from './importFormat.ts';

/** Larger texts do not fit a JavaScript string. */
const JSON_BYTES_MAX = 500 * 1024 * 1024;
const REMEDY = 'expected what damo record writes; convert other kinds with damo fmt';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 * 1024,
  GiB: 1024 * 1024 * 1024,
  TiB: 1024 * 1024 * 1024 * 1024,
};
const TIME_UNITS_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
  d: 86400e9,
};

type Json = Readonly<Record<string, unknown>>;

export const damoJson: ImportFormat = {
  name: 'damo',
  /** DAMON's times are coarse: a slice is 10 ms at most. */
  spanMax: 1e7,

  sniff(head) {
    if (isZlib(Uint8Array.from(head.slice(0, 6), (char) => char.charCodeAt(0)))) return true;
    return /^\s*\[\s*(\{|\])/.test(head);
  },

  header: damonHeader,

  *run(source, feed) {
    const place = source.name;
    const records = parse(readWhole(source), place);
    if (!Array.isArray(records)) throw new UserError(place, 'no list of records', REMEDY);
    const snapshots = records.flatMap((record, i) => snapshotsOf(record, `${place}: record ${i}`));
    snapshots.sort((a, b) => a.startNs - b.startNs || a.endNs - b.endNs);
    const damon = new DamonFeed(feed);
    for (const [i, snapshot] of snapshots.entries()) {
      yield (source.sizeBytes * i) / snapshots.length;
      damon.snapshot(snapshot);
    }
  },
};

function readWhole(source: ByteSource): Uint8Array {
  if (source.sizeBytes === Number.POSITIVE_INFINITY) {
    throw new UserError(source.name, 'damo’s JSON cannot come through a pipe', 'name the file');
  }
  if (source.sizeBytes > JSON_BYTES_MAX) {
    throw new UserError(source.name, 'more than 500 MiB of JSON', 'use damo’s perf_script format');
  }
  const bytes = new Uint8Array(source.sizeBytes);
  return bytes.subarray(0, source.read(0, bytes));
}

function parse(bytes: Uint8Array, place: string): unknown {
  let text: Uint8Array;
  try {
    text = isZlib(bytes) ? inflateZlib(bytes) : bytes;
  } catch (error) {
    if (!(error instanceof InflateError)) throw error;
    throw new UserError(place, `damaged zlib stream: ${error.message}`, 'copy or record it again');
  }
  const json = utf8Decode(text, 0, text.length);
  try {
    return JSON.parse(json);
  } catch (error) {
    const { line, problem } = jsonProblem(json, String(error));
    throw new UserError(`${place}:${line}`, `broken JSON: ${problem}`, REMEDY);
  }
}

/** V8 tells the position in its message, mostly; a file that was cut is broken at its end. */
function jsonProblem(json: string, message: string): { line: number; problem: string } {
  const position = /position (\d+)/.exec(message);
  const at = position === null ? json.length : Number(position[1]);
  const line = json.slice(0, at).split('\n').length;
  return { line, problem: at >= json.length ? 'it ends too early' : message };
}

function snapshotsOf(value: unknown, place: string): DamonSnapshot[] {
  const record = object(value, place);
  const target = Number(record.target_id ?? 0);
  const percentOf = samplesPerPercent(record.intervals);
  const list = record.snapshots;
  if (!Array.isArray(list)) throw new UserError(place, 'no list of snapshots', REMEDY);
  return list.map((item: unknown, i): DamonSnapshot => {
    const where = `${place}, snapshot ${i}`;
    const snapshot = object(item, where);
    const regions = snapshot.regions;
    if (!Array.isArray(regions)) throw new UserError(where, 'no list of regions', REMEDY);
    const endNs = quantity(snapshot.end_time, TIME_UNITS_NS, where, 'end_time');
    // damo leaves the first start open when it cannot tell
    const open = snapshot.start_time === null || snapshot.start_time === undefined;
    const startNs = open
      ? endNs
      : quantity(snapshot.start_time, TIME_UNITS_NS, where, 'start_time');
    return {
      startNs,
      endNs,
      target,
      regions: regions.map((region: unknown) => regionOf(object(region, where), percentOf, where)),
    };
  });
}

function regionOf(region: Json, samplesPerPercent: number, place: string): DamonRegion {
  const start = quantity(region.start, SIZE_UNITS, place, 'start');
  const end = quantity(region.end, SIZE_UNITS, place, 'end');
  if (end < start) throw new UserError(place, `a region from ${start} to ${end}`, REMEDY);
  const accesses = object(region.nr_accesses, place);
  const isSamples = accesses.samples !== null && accesses.samples !== undefined;
  const nrAccesses = isSamples
    ? quantity(accesses.samples, {}, place, 'samples')
    : quantity(accesses.percent, { '%': 1 }, place, 'percent') * samplesPerPercent;
  return { start, end, nrAccesses: Math.round(nrAccesses) };
}

/** nr_accesses of one percent, from the record's intervals; the default is 5 ms in 100 ms. */
function samplesPerPercent(intervals: unknown): number {
  if (typeof intervals !== 'object' || intervals === null) return 0.2;
  const { sample_us: sample, aggr_us: aggregation } = intervals as Json;
  const ratio =
    quantity(aggregation, TIME_UNITS_NS, '', 'aggr_us') /
    quantity(sample, TIME_UNITS_NS, '', 'sample_us');
  return ratio > 0 && Number.isFinite(ratio) ? ratio / 100 : 0.2;
}

function object(value: unknown, place: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new UserError(place, 'not what damo writes', REMEDY);
}

/** A number, or a text like "1,234", "1.5 GiB", "2 m 3 s". */
function quantity(
  value: unknown,
  units: Readonly<Record<string, number>>,
  place: string,
  field: string,
): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'string') {
    const parts = [...value.replaceAll(',', '').matchAll(/(-?[\d.]+)\s*([A-Za-z%]*)/g)];
    const numbers = parts.map(([, number, unit]) => Number(number) * (unit ? units[unit]! : 1));
    const sum = numbers.reduce((a, b) => a + b, 0);
    if (numbers.length > 0 && Number.isFinite(sum)) return sum;
  }
  throw new UserError(place, `${field} is ${JSON.stringify(value)}`, REMEDY);
}
