/** Cutting against a naive cut of the same items, and the text exports. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HEADER,
  openTrace,
  type PlainItem,
  type PlainSlice,
  readAll,
  TID_PID,
  traceFile,
} from '../../test/trace/traceFile.ts';
import { deflateCodec } from '../live/codec.ts';
import { MemorySink } from './byteStream.ts';
import { type CutSelection, cutReaderOptions, cutSteps, WHOLE } from './cut.ts';
import type { TraceEvent } from './event.ts';
import { type ExportFormat, exportSteps } from './exportText.ts';
import { runSteps } from './steps.ts';
import { TraceWriter } from './traceWriter.ts';

const ALL: CutSelection = { accesses: WHOLE, insns: WHOLE, pids: null, tids: null };

function cutItems(items: readonly PlainItem[], selection: Partial<CutSelection>): PlainItem[] {
  const all = { ...ALL, ...selection };
  const reader = openTrace(traceFile(items, { itemsPerChunk: 3 }), cutReaderOptions(all.accesses));
  const sink = new MemorySink();
  const writer = new TraceWriter(sink, HEADER, deflateCodec());
  runSteps(cutSteps(reader, writer, all));
  writer.finish();
  return readAll(openTrace(sink.bytes(), { lines: true }));
}

/** Slices of threads in turn, 100 instructions each, and a brk of thread 0 after every third. */
function items(count: number, accesses = 10): PlainItem[] {
  const clocks = [0, 0, 0];
  return Array.from({ length: count }, (_, i): PlainItem => {
    const tid = i % 3;
    if (i % 4 === 3) {
      return { kind: 'brk', pid: 0, tid: 0, insn: clocks[0]!, addr: i, result: i };
    }
    const insnStart = clocks[tid]!;
    clocks[tid] = insnStart + 100;
    return {
      pid: TID_PID[tid]!,
      tid,
      insnStart,
      insnEnd: insnStart + 100,
      vpn: Array.from({ length: accesses }, (_, k) => 1000 + ((i * accesses + k) >> 2)),
      lineWrite: Array.from({ length: accesses }, (_, k) => (i * accesses + k) % 128),
    };
  });
}

const isSlice = (item: PlainItem): item is PlainSlice => !('kind' in item);

function accessesOf(list: readonly PlainItem[]) {
  return list.filter(isSlice).flatMap((s) => s.vpn.map((vpn, i) => [s.tid, vpn, s.lineWrite[i]]));
}

describe('cut', () => {
  it('of everything is the same trace', () => {
    const all = items(20);
    expect(cutItems(all, {})).toEqual(all);
  });

  it('by accesses gives exactly those, wherever the range lies', () => {
    const all = items(23);
    const accesses = accessesOf(all);
    fc.assert(
      fc.property(
        fc.nat(accesses.length - 1),
        fc.integer({ min: 1, max: 200 }),
        (start, length) => {
          const part = cutItems(all, { accesses: { start, end: start + length } });
          expect(accessesOf(part)).toEqual(accesses.slice(start, start + length));
        },
      ),
      { seed: 1, numRuns: 60 },
    );
  });

  it('keeps the events before the part, at clock 0, and starts the clocks again', () => {
    const part = cutItems(items(12), { accesses: { start: 45, end: 75 } });
    expect(part.map(shortText)).toEqual([
      // after three slices (30 accesses), before the part
      'brk 3 at 0',
      // the second slice of thread 2 from its middle, the third of thread 0 to its middle
      '2: 0-50 5 accesses',
      '0: 0-100 10 accesses',
      'brk 7 at 100',
      '2: 50-150 10 accesses',
      '0: 100-150 5 accesses',
    ]);
  });

  it('by clock takes that part of every thread, clocks from its start', () => {
    const part = cutItems(items(12), { insns: { start: 150, end: 250 } });
    expect(part.filter(isSlice).map(shortText)).toEqual([
      '1: 0-50 5 accesses',
      '2: 0-50 5 accesses',
      '0: 0-50 5 accesses',
      '2: 50-100 5 accesses',
      '0: 50-100 5 accesses',
      '1: 50-100 5 accesses',
    ]);
    expect(part.filter((item) => 'kind' in item)).toMatchObject([
      { kind: 'brk', addr: 3, insn: 0 },
      { kind: 'brk', addr: 7, insn: 50 },
    ]);
  });

  it('by process and thread keeps indices, and the events of the process', () => {
    const all = items(20);
    const worker = cutItems(all, { tids: new Set([1]) });
    expect(worker).toEqual(all.filter((item) => 'kind' in item || item.tid === 1));
    const child = cutItems(all, { pids: new Set([1]) });
    expect(child).toEqual(all.filter((item) => item.pid === 1));
  });

  it('joins what was split', () => {
    const all = items(30);
    const accesses = accessesOf(all);
    const half = Math.floor(accesses.length / 2);
    const first = cutItems(all, { accesses: { start: 0, end: half } });
    const second = cutItems(all, { accesses: { start: half, end: Number.POSITIVE_INFINITY } });
    expect([...accessesOf(first), ...accessesOf(second)]).toEqual(accesses);
  });

  it('of nothing says so', () => {
    const all = items(8);
    expect(() => cutItems(all, { accesses: { start: 1e6, end: 2e6 } })).toThrow(/no access/);
    expect(() => cutItems(all, { pids: new Set([9]) })).toThrow(/no process 9.*0 to 1/);
    expect(() => cutItems(all, { tids: new Set([3]) })).toThrow(/no thread 3.*0 to 2/);
  });
});

function shortText(item: PlainItem): string {
  if ('kind' in item) return `${item.kind} ${(item as { addr: number }).addr} at ${item.insn}`;
  return `${item.tid}: ${item.insnStart}-${item.insnEnd} ${item.vpn.length} accesses`;
}

const EVENTS: TraceEvent[] = [
  { kind: 'open', pid: 0, tid: 0, insn: 0, file: 2, path: '/tmp/a "b", ü', sizeBytes: 5 },
  { kind: 'brk', pid: 1, tid: 2, insn: 1, addr: 0x7fff00001000, result: -12 },
];
const SMALL: PlainItem[] = [
  ...EVENTS,
  {
    pid: 0,
    tid: 1,
    insnStart: 10,
    insnEnd: 20,
    vpn: [0x7f1234567, 0x7f1234567, 1],
    lineWrite: [3, 4, 0],
  },
];

function exported(list: readonly PlainItem[], format: ExportFormat, limit?: number): string {
  const sink = new MemorySink();
  const reader = openTrace(traceFile(list), { lines: true });
  runSteps(exportSteps(reader, sink, format, limit));
  return new TextDecoder().decode(sink.bytes());
}

describe('export', () => {
  it('as text shows every item', () => {
    expect(exported(SMALL, 'text')).toBe(`# /usr/bin/sort -n größe.txt, recorded by test 1
# clock: instructions; an access: R or W and address of its line
open pid 0 tid 0 at 0 file=2 path="/tmp/a \\"b\\", ü" sizeBytes=5
brk pid 1 tid 2 at 1 addr=0x7fff00001000 result=-12
slice pid 0 tid 1 from 10 to 20 accesses 3
 W 0x7f1234567040
 R 0x7f1234567080
 R 0x1000
`);
  });

  it('as csv has one table', () => {
    expect(exported(SMALL, 'csv')).toBe(`pid,tid,insn,what,address,detail
0,0,0,open,,"file=2 path=""/tmp/a \\""b\\"", ü"" sizeBytes=5"
1,2,1,brk,0x7fff00001000,"result=-12"
0,1,10,W,0x7f1234567040,
0,1,13,R,0x7f1234567080,
0,1,16,R,0x1000,
`);
  });

  it('as lackey has loads and stores only', () => {
    expect(exported(SMALL, 'lackey')).toBe(
      ' S 7f1234567040,64\n L 7f1234567080,64\n L 00001000,64\n',
    );
  });

  it('ends at the limit', () => {
    expect(exported([...SMALL, ...SMALL], 'lackey', 4).split('\n')).toHaveLength(5);
  });

  it('writes long traces in pieces', () => {
    const list = Array.from({ length: 30 }, () => items(1, 4000)[0]!);
    expect(exported(list, 'lackey').split('\n')).toHaveLength(30 * 4000 + 1);
  });
});
