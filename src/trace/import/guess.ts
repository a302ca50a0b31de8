/**
 * The one entry for traces of other tools: guesses the format, or takes the one that was named.
 */
import { UserError } from '../../base/assert.ts';
import type { ByteSink, ByteSource } from '../byteStream.ts';
import type { Codec } from '../codec.ts';
import type { TraceHeader } from '../header.ts';
import { MAGIC } from '../layout.ts';
import type { TraceSummary } from '../summary.ts';
import { TraceWriter } from '../traceWriter.ts';
import { damoJson } from './damoJson.ts';
import { damoPerfScript } from './damoPerfScript.ts';
import { ImportFeed } from './importFeed.ts';
import type { ImportFormat } from './importFormat.ts';
import { lackey } from './lackey.ts';
import { perfScript } from './perfScript.ts';

/** In the order of guessing: the narrow ones first. */
const FORMATS: readonly ImportFormat[] = [damoJson, damoPerfScript, lackey, perfScript];

export const IMPORT_FORMAT_NAMES: readonly string[] = FORMATS.map((format) => format.name);

const HEAD_BYTES = 65536;

export interface ImportOptions {
  /** One of IMPORT_FORMAT_NAMES, or 'auto'. */
  readonly format?: string;
  /** Provenance that the input does not tell, or tells wrongly. */
  readonly header?: Partial<TraceHeader>;
}

export interface ImportResult {
  readonly format: string;
  readonly summary: TraceSummary;
}

/**
 * Turns another tool's trace into one of ours. Yields the bytes of the input done so far.
 * Errors: UserError with file:line where the input is not what it should be.
 */
export function* importSteps(
  source: ByteSource,
  sink: ByteSink,
  codec: Codec,
  options: ImportOptions = {},
): Generator<number, ImportResult, void> {
  const bytes = new Uint8Array(HEAD_BYTES);
  const length = source.read(0, bytes);
  let head = '';
  for (let i = 0; i < length; i++) head += String.fromCharCode(bytes[i]!);
  const format = formatOf(head, source.name, options.format ?? 'auto');
  const header = { ...format.header(head), ...options.header };
  const history = [...header.history, `imported from ${format.name}`];
  const writer = new TraceWriter(sink, { ...header, history }, codec);
  const feed = new ImportFeed(writer, format.spanMax);
  yield* format.run(source, feed, header);
  feed.flush();
  const { skippedKernel, skippedNoAddress } = feed.counts;
  if (feed.counts.accesses === 0) {
    const skipped = skippedKernel + skippedNoAddress;
    const problem =
      skipped > 0 ? `all ${skipped} samples lack a user address` : 'no accesses in it';
    throw new UserError(source.name, `${problem} (read as ${format.name})`, 'is it complete?');
  }
  return { format: format.name, summary: writer.finish({ skippedKernel, skippedNoAddress }) };
}

function formatOf(head: string, place: string, wanted: string): ImportFormat {
  if (head === '') throw new UserError(place, 'empty file', 'record again');
  const named = FORMATS.find((format) => format.name === wanted);
  if (named !== undefined) return named;
  const names = IMPORT_FORMAT_NAMES.join(', ');
  if (wanted !== 'auto') {
    throw new UserError('--format', `unknown format ${wanted}`, `one of ${names}`);
  }
  const guessed = FORMATS.find((format) => format.sniff(head));
  if (guessed !== undefined) return guessed;
  if (head.startsWith('PERFILE2')) {
    const remedy =
      'turn it into text first: perf script -F comm,pid,tid,cpu,time,event,addr,data_src';
    throw new UserError(place, 'binary perf.data', remedy);
  }
  if (MAGIC.every((byte, i) => head.charCodeAt(i) === byte)) {
    throw new UserError(place, 'is a hetmem trace already', 'use it as it is');
  }
  throw new UserError(place, 'no format that is known here', `name it with --format: ${names}`);
}
