/**
 * For the tests of src/trace and src/cli/trace: traces as plain values, written and read in memory.
 */
import { deflateCodec } from '../../src/live/codec.ts';
import { MemorySink, MemorySource } from '../../src/trace/byteStream.ts';
import type { Codec } from '../../src/trace/codec.ts';
import type { TraceEvent } from '../../src/trace/event.ts';
import { makeHeader, type TraceHeader } from '../../src/trace/header.ts';
import { EVENT, SLICE, type TraceSource, vpnOfPageWord } from '../../src/trace/source.ts';
import { TraceReader, type TraceReaderOptions } from '../../src/trace/traceReader.ts';
import { TraceWriter } from '../../src/trace/traceWriter.ts';

/** A slice with its accesses spelled out: VPN and line << 1 | write of each. */
export interface PlainSlice {
  readonly pid: number;
  readonly tid: number;
  readonly insnStart: number;
  readonly insnEnd: number;
  readonly vpn: readonly number[];
  readonly lineWrite: readonly number[];
}

export type PlainItem = PlainSlice | TraceEvent;

export const HEADER: TraceHeader = makeHeader({
  program: '/usr/bin/sort',
  args: ['-n', 'größe.txt'],
  recorder: { name: 'test', version: '1' },
  accessKind: 'cache-misses',
  filter: [{ name: 'L2', sizeBytes: 1048576, ways: 16, lineBytes: 64, shared: false }],
  host: 'here',
  date: '2026-11-21T00:00:00Z',
  notes: ['made for a test'],
});

/** Declares two processes with three threads: pid 0 has tid 0 and 1, pid 1 has tid 2. */
export function declareThreads(writer: TraceWriter): void {
  writer.addProcess('sort', -1, 4711);
  writer.addThread(0, 'main', 4711);
  writer.addThread(0, 'worker', 4712);
  writer.addProcess('child', 0, 4713);
  writer.addThread(1, 'main', 4713);
}

export const TID_PID = [0, 0, 1];

export function writeItem(writer: TraceWriter, item: PlainItem): void {
  if ('kind' in item) {
    writer.event(item);
    return;
  }
  const { pid, tid, insnStart, insnEnd, vpn, lineWrite } = item;
  const lines = Uint8Array.from(lineWrite);
  writer.slice(pid, tid, insnStart, insnEnd, vpn.length, Float64Array.from(vpn), lines);
}

export interface FileOptions {
  readonly codec?: Codec;
  readonly isFinished?: boolean;
  /** Ends a chunk after each so many items. */
  readonly itemsPerChunk?: number;
}

export function traceFile(items: readonly PlainItem[], options: FileOptions = {}): Uint8Array {
  const sink = new MemorySink();
  const writer = new TraceWriter(sink, HEADER, options.codec ?? deflateCodec());
  declareThreads(writer);
  items.forEach((item, i) => {
    writeItem(writer, item);
    if ((i + 1) % (options.itemsPerChunk ?? Number.POSITIVE_INFINITY) === 0) writer.flush();
  });
  if (options.isFinished === false) writer.flush();
  else writer.finish({ made: items.length });
  return sink.bytes().slice();
}

export function openTrace(bytes: Uint8Array, options: TraceReaderOptions = {}): TraceReader {
  return new TraceReader(new MemorySource(bytes, 'x.hmt'), [deflateCodec()], options);
}

/** Reads the item that `kind` announces. Lines are 0 when the source has none. */
export function plainItem(source: TraceSource, kind: number): PlainItem {
  if (kind === EVENT) return source.event;
  const { pid, tid, insnStart, insnEnd, count, page, weight, line } = source.slice;
  const vpn: number[] = [];
  const lineWrite: number[] = [];
  for (let run = 0; run < count; run++) {
    for (let i = 0; i < weight[run]!; i++) {
      const lineHere = line.length > 0 ? line[vpn.length]! : 0;
      vpn.push(vpnOfPageWord(source.regionBase(pid), page[run]!));
      lineWrite.push((lineHere << 1) | (page[run]! & 1));
    }
  }
  return { pid, tid, insnStart, insnEnd, vpn, lineWrite };
}

export function readAll(source: TraceSource, isSlice = SLICE): PlainItem[] {
  const items: PlainItem[] = [];
  for (let kind = source.next(); kind !== 0; kind = source.next()) {
    items.push(plainItem(source, kind === isSlice ? SLICE : EVENT));
  }
  return items;
}
