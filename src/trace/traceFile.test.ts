/** Round trips of the trace format: what is written is what is read (design 3.8). */
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
import { deflateCodec, zstdCodec } from '../live/codec.ts';
import { MemorySink, MemorySource } from './byteStream.ts';
import { noneCodec, PURE_CODECS } from './codec.ts';
import type { TraceEvent } from './event.ts';
import { EVENT_ROWS } from './eventCodec.ts';
import { syntheticHeader } from './header.ts';
import { END, SLICE, SLICE_ACCESSES_MAX } from './source.ts';
import { TraceReader } from './traceReader.ts';
import { TraceWriter } from './traceWriter.ts';

/** Pages as programs use them: a few neighbourhoods, at low and at giant addresses. */
const vpnArbitrary = fc.oneof(
  fc.nat({ max: 20 }),
  fc.nat({ max: 3000 }).map((n) => 0x7f1234000 + n),
  fc.nat({ max: 600 }).map((n) => 2 ** 40 - 1 - n),
);

const sliceArbitrary = fc
  .record({
    tid: fc.nat({ max: 2 }),
    insnStart: fc.maxSafeNat().map((n) => Math.floor(n / 4)),
    span: fc.nat(),
    accesses: fc.array(fc.tuple(vpnArbitrary, fc.nat({ max: 127 })), { maxLength: 40 }),
    repeat: fc.integer({ min: 1, max: 12 }),
  })
  .map(({ tid, insnStart, span, accesses, repeat }): PlainSlice => {
    const repeated = accesses.flatMap((access) => Array.from({ length: repeat }, () => access));
    return {
      pid: TID_PID[tid]!,
      tid,
      insnStart,
      insnEnd: insnStart + span,
      vpn: repeated.map(([vpn]) => vpn),
      lineWrite: repeated.map(([, lineWrite]) => lineWrite),
    };
  });

const fieldArbitrary = {
  u: fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 2 ** 47 - 4096, 2 ** 64 - 4096)),
  s: fc.oneof(
    fc.integer(),
    fc.maxSafeInteger().filter((n) => Math.abs(n) < 2 ** 52),
  ),
  t: fc.string({ unit: 'grapheme', maxLength: 20 }),
};

const eventArbitrary = fc
  .tuple(fc.constantFrom(...EVENT_ROWS), fc.nat({ max: 2 }), fc.nat())
  .chain(([row, tid, insn]) => {
    const fields = row.fields.map(([name, type]) => [name, fieldArbitrary[type]] as const);
    return fc.record(Object.fromEntries(fields)).map((values) => {
      return { kind: row.kind, pid: TID_PID[tid], tid, insn, ...values } as unknown as TraceEvent;
    });
  });

const itemsArbitrary = fc.array(fc.oneof(sliceArbitrary, eventArbitrary), { maxLength: 30 });

describe('a trace file', () => {
  it('gives back what was written, whatever it was', () => {
    fc.assert(
      fc.property(itemsArbitrary, fc.integer({ min: 1, max: 9 }), (items, itemsPerChunk) => {
        const bytes = traceFile(items, { itemsPerChunk });
        expect(readAll(openTrace(bytes, { lines: true }))).toEqual(items);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('is the same bytes each time', () => {
    fc.assert(
      fc.property(itemsArbitrary, (items) => {
        expect(traceFile(items)).toEqual(traceFile(items));
      }),
      { seed: 2, numRuns: 20 },
    );
  });

  it('has its provenance, processes, threads and totals', () => {
    const reader = openTrace(traceFile(randomItems(3)));
    expect(reader.header).toEqual(HEADER);
    readAll(reader);
    expect(reader.processes.map((p) => [p.name, p.parent, p.recordedPid])).toEqual([
      ['sort', -1, 4711],
      ['child', 0, 4713],
    ]);
    expect(reader.threads.map((t) => [t.name, t.pid, t.recordedTid])).toEqual([
      ['main', 0, 4711],
      ['worker', 0, 4712],
      ['main', 1, 4713],
    ]);
  });

  it('counts what it holds in its summary', () => {
    const items = randomItems(4);
    const summary = openTrace(traceFile(items, { itemsPerChunk: 3 })).summary!;
    const slices = items.filter((item): item is PlainSlice => !('kind' in item));
    const accesses = slices.flatMap((s) => s.vpn.map((vpn, i) => [s, vpn, i] as const));
    const written = accesses.filter(([s, , i]) => (s.lineWrite[i]! & 1) === 1);
    expect(summary.accesses).toBe(accesses.length);
    expect(summary.writes).toBe(written.length);
    expect(summary.slices).toBe(slices.length);
    expect(summary.events).toBe(items.length - slices.length);
    for (const pid of [0, 1]) {
      const own = accesses.filter(([s]) => s.pid === pid);
      expect(summary.processes[pid]).toEqual({
        accesses: own.length,
        touchedPages: new Set(own.map(([, vpn]) => vpn)).size,
        writtenPages: new Set(written.filter(([s]) => s.pid === pid).map(([, vpn]) => vpn)).size,
      });
    }
    expect(summary.recorder).toEqual({ made: items.length });
  });

  it('can be empty', () => {
    const sink = new MemorySink();
    new TraceWriter(sink, syntheticHeader('nothing'), noneCodec).finish();
    const reader = openTrace(sink.bytes());
    expect(reader.next()).toBe(END);
    expect(reader.next()).toBe(END);
    expect(reader.totals).toMatchObject({ accesses: 0, slices: 0, events: 0 });
  });

  it('is read alike with every codec, and deflate without the help of Node', async () => {
    const items = randomItems(5);
    const codecs = [noneCodec, deflateCodec(), await zstdCodec()];
    for (const codec of codecs) {
      const source = new MemorySource(traceFile(items, { codec }));
      expect(readAll(new TraceReader(source, [codec], { lines: true }))).toEqual(items);
    }
    const deflated = new MemorySource(traceFile(items));
    expect(readAll(new TraceReader(deflated, PURE_CODECS, { lines: true }))).toEqual(items);
    const zstd = new MemorySource(traceFile(items, { codec: codecs[2]! }), 'z.hmt');
    expect(() => readAll(new TraceReader(zstd, PURE_CODECS))).toThrow(/z\.hmt: .*zstd/);
  });
});

describe('TraceReader', () => {
  it('starts again, with the same region indices', () => {
    const reader = openTrace(traceFile(randomItems(6), { itemsPerChunk: 4 }), { lines: true });
    const first = readAll(reader);
    const bases = Array.from(reader.regionBase(0).subarray(0, reader.regionCount(0)));
    reader.rewind();
    expect(reader.regionCount(0)).toBe(0);
    expect(readAll(reader)).toEqual(first);
    expect(Array.from(reader.regionBase(0).subarray(0, reader.regionCount(0)))).toEqual(bases);
  });

  it('seeks to the chunk of an access', () => {
    const items = Array.from({ length: 40 }, (_, i) => sequentialSlice(i * 100, 100));
    const reader = openTrace(traceFile(items, { itemsPerChunk: 10 }), { lines: true });
    expect(reader.seek(2345)).toBe(2000);
    expect(readAll(reader)).toEqual(items.slice(20));
    expect(reader.seek(0)).toBe(0);
    expect(readAll(reader)).toEqual(items);
  });

  it('leaves out pages that are not wanted, and nothing else', () => {
    const items = Array.from({ length: 20 }, (_, i) => sequentialSlice(i * 100, 100));
    const bytes = traceFile(items, { itemsPerChunk: 5 });
    const asked: number[][] = [];
    const reader = openTrace(bytes, {
      wantsPages: (before, accesses) => {
        asked.push([before, accesses]);
        return before >= 1000;
      },
    });
    let at = 0;
    for (; reader.next() === SLICE; at++) {
      expect(reader.slice.accesses).toBe(100);
      expect(reader.slice.insnStart).toBe(items[at]!.insnStart);
    }
    expect(at).toBe(20);
    expect(asked).toEqual([0, 500, 1000, 1500].map((before) => [before, 500]));
  });

  it('reuses its buffers', () => {
    const reader = openTrace(traceFile([sequentialSlice(0, 10), sequentialSlice(10, 10)]));
    reader.next();
    const { slice } = reader;
    const { page, weight } = slice;
    reader.next();
    expect(reader.slice).toBe(slice);
    expect(slice.page).toBe(page);
    expect(slice.weight).toBe(weight);
  });
});

describe('TraceWriter', () => {
  it('merges neighbours on one page with one direction into runs', () => {
    const slice: PlainSlice = {
      pid: 0,
      tid: 0,
      insnStart: 0,
      insnEnd: 7,
      vpn: [512, 512, 512, 512, 513, 512, 512],
      lineWrite: [0, 2, 4, 1, 1, 0, 0],
    };
    const reader = openTrace(traceFile([slice]));
    expect(reader.next()).toBe(SLICE);
    const { count, accesses, page, weight } = reader.slice;
    expect([count, accesses]).toEqual([4, 7]);
    expect(Array.from(page.subarray(0, 4))).toEqual([0, 1, 3, 0]);
    expect(Array.from(weight.subarray(0, 4))).toEqual([3, 1, 1, 2]);
    expect(reader.regionBase(0)[0]).toBe(512);
  });

  it('keeps long runs, whose weight needs two bytes', () => {
    const items = [255, 256, 257, 8192].map((length) => ({
      ...sequentialSlice(0, length),
      vpn: Array.from({ length }, () => 99),
    }));
    expect(readAll(openTrace(traceFile(items), { lines: true }))).toEqual(items);
  });

  it('splits slices that are too long, with interpolated clocks', () => {
    const length = SLICE_ACCESSES_MAX * 2 + 100;
    const slices = readAll(openTrace(traceFile([sequentialSlice(0, length)]), { lines: true }));
    expect(slices).toHaveLength(3);
    const parts = slices as PlainSlice[];
    expect(parts.flatMap((part) => part.vpn)).toEqual(sequentialSlice(0, length).vpn);
    expect(parts.map((part) => [part.insnStart, part.insnEnd])).toEqual([
      [0, SLICE_ACCESSES_MAX * 10],
      [SLICE_ACCESSES_MAX * 10, SLICE_ACCESSES_MAX * 20],
      [SLICE_ACCESSES_MAX * 20, length * 10],
    ]);
  });

  it('starts a chunk before it has more than 32768 distinct pages', () => {
    const items = Array.from({ length: 30 }, (_, i) => scatteredSlice(i, 4000));
    const reader = openTrace(traceFile(items), { lines: true });
    expect(readAll(reader)).toEqual(items);
    expect(reader.index.length).toBeGreaterThanOrEqual(4);
  });

  it('refuses what a caller must not do', () => {
    const writer = new TraceWriter(new MemorySink(), HEADER, noneCodec);
    const one = [Float64Array.of(1), Uint8Array.of(0)] as const;
    expect(() => writer.slice(0, 0, 0, 1, 1, ...one)).toThrow(/thread 0/);
    writer.addProcess('p');
    writer.addThread(0, 't');
    expect(() => writer.slice(0, 0, 2, 1, 1, ...one)).toThrow(/from 2 to 1/);
    const far = [Float64Array.of(2 ** 40), Uint8Array.of(0)] as const;
    expect(() => writer.slice(0, 0, 0, 1, 1, ...far)).toThrow(/page number/);
    writer.finish();
    expect(() => writer.slice(0, 0, 0, 1, 1, ...one)).toThrow(/finished/);
  });
});

function sequentialSlice(start: number, length: number): PlainSlice {
  const numbers = Array.from({ length }, (_, i) => start + i);
  return {
    pid: 0,
    tid: 0,
    insnStart: start * 10,
    insnEnd: (start + length) * 10,
    vpn: numbers.map((n) => 0x55550 + Math.floor(n / 64)),
    lineWrite: numbers.map((n) => (n % 64) << 1),
  };
}

function scatteredSlice(seed: number, length: number): PlainSlice {
  const numbers = Array.from({ length }, (_, i) => (seed * length + i) * 7919);
  return {
    ...sequentialSlice(seed, length),
    vpn: numbers.map((n) => n % 1000003),
    lineWrite: numbers.map((n) => n % 128),
  };
}

function randomItems(seed: number): PlainItem[] {
  return fc.sample(itemsArbitrary, { seed, numRuns: 6 }).flat();
}
