/** What a cut or damaged trace file gives: its whole chunks, then the truth (design 3.8). */
import { describe, expect, it } from 'vitest';
import {
  openTrace,
  type PlainItem,
  plainItem,
  readAll,
  traceFile,
} from '../../test/trace/traceFile.ts';
import { UserError } from '../base/assert.ts';
import { MemorySource } from './byteStream.ts';
import { PURE_CODECS } from './codec.ts';
import { FOOTER_BYTES, FORMAT_VERSION } from './layout.ts';
import { END } from './source.ts';
import { TraceReader } from './traceReader.ts';
import { UPGRADE_STEPS, Upgrade, type UpgradeStep } from './upgrade.ts';

const ITEMS: PlainItem[] = Array.from({ length: 24 }, (_, i) => {
  if (i % 4 === 3) {
    return { kind: 'brk', pid: 0, tid: 1, insn: i, addr: 0, result: 0x555500000000 + i };
  }
  return {
    pid: 0,
    tid: 0,
    insnStart: i * 1000,
    insnEnd: i * 1000 + 999,
    vpn: Array.from({ length: 50 }, (_, k) => 0x7ffff0000 + ((i * 50 + k * k) % 700)),
    lineWrite: Array.from({ length: 50 }, (_, k) => (i + k * 3) % 128),
  };
});
const PER_CHUNK = 6;
const FILE = traceFile(ITEMS, { itemsPerChunk: PER_CHUNK });
const INDEX = openTrace(FILE).index;
const END_OFFSET = new DataView(FILE.buffer).getUint32(FILE.length - FOOTER_BYTES + 4, true);

/** Each chunk boundary with its neighbours, and every seventh byte between. */
const CUTS = Array.from({ length: FILE.length }, (_, length) => length).filter((length) => {
  const boundaries = [...INDEX.map((chunk) => chunk.offset), END_OFFSET];
  if (length < INDEX[0]!.offset) return false;
  return length % 7 === 0 || boundaries.some((offset) => Math.abs(offset - length) < 2);
});

/** Items of the chunks that lie whole in the first `length` bytes. */
function wholeItems(length: number): PlainItem[] {
  const ends = [...INDEX.slice(1).map((chunk) => chunk.offset), END_OFFSET];
  return ITEMS.slice(0, ends.filter((end) => end <= length).length * PER_CHUNK);
}

/** Much faster to compare than the items themselves, which are compared thousands of times. */
function textOf(items: readonly PlainItem[]): string {
  return JSON.stringify(items, (_, value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort())
      : value,
  );
}

/** Reads items until the end or an error. */
function readUntilError(bytes: Uint8Array): { items: PlainItem[]; error: unknown } {
  const items: PlainItem[] = [];
  try {
    const reader = openTrace(bytes, { lines: true });
    for (let kind = reader.next(); kind !== END; kind = reader.next()) {
      items.push(plainItem(reader, kind));
    }
    return { items, error: null };
  } catch (error) {
    return { items, error };
  }
}

describe('a trace that was cut', () => {
  it('has four chunks in this test', () => {
    expect(INDEX).toHaveLength(4);
    expect(readUntilError(FILE)).toEqual({ items: ITEMS, error: null });
  });

  it('gives all whole chunks and then an error with place and remedy, wherever it was cut', () => {
    for (const length of CUTS) {
      const { items, error } = readUntilError(FILE.slice(0, length));
      expect(textOf(items)).toBe(textOf(wholeItems(length)));
      expect(error).toBeInstanceOf(UserError);
      const kept = `${items.length / PER_CHUNK} whole chunks`;
      expect(String(error)).toMatch(new RegExp(`x\\.hmt: byte \\d+ of ${length}: .*${kept}`));
    }
  });

  it('just ends there with salvage, and says why on request', () => {
    for (const length of CUTS.filter((_, i) => i % 3 === 0)) {
      const reader = openTrace(FILE.slice(0, length), { lines: true, salvage: true });
      expect(readAll(reader)).toEqual(wholeItems(length));
      expect(reader.damage).toMatch(/cut or damaged/);
      expect(reader.totals).toBe(null);
    }
  });

  it('is no trace when not even its header is whole', () => {
    for (let length = 0; length < INDEX[0]!.offset; length++) {
      expect(() => openTrace(FILE.slice(0, length), { salvage: true })).toThrow(UserError);
    }
    expect(() => openTrace(new Uint8Array(0))).toThrow(/x\.hmt: empty file/);
  });

  it('is complete when it was never finished but flushed, minus the footer', () => {
    const bytes = traceFile(ITEMS, { itemsPerChunk: PER_CHUNK, isFinished: false });
    expect(readUntilError(bytes).items).toEqual(ITEMS);
    expect(readAll(openTrace(bytes, { lines: true, salvage: true }))).toEqual(ITEMS);
    expect(() => openTrace(bytes).seek(0)).toThrow(/never finished/);
  });

  it('may not go on after its end', () => {
    const longer = new Uint8Array(FILE.length + 5);
    longer.set(FILE);
    const { items, error } = readUntilError(longer);
    expect(items).toEqual(ITEMS);
    expect(String(error)).toMatch(/footer is missing|5 bytes after the end/);
  });
});

describe('a flipped bit', () => {
  it('is found wherever it is, before anything wrong is given out', () => {
    for (let at = 0; at < FILE.length; at += at < 200 || at >= END_OFFSET ? 1 : 5) {
      const bytes = FILE.slice();
      bytes[at]! ^= 1 << (at % 8);
      const { items, error } = readUntilError(bytes);
      expect(textOf(items)).toBe(textOf(ITEMS.slice(0, items.length)));
      expect(error).toBeInstanceOf(UserError);
    }
  });

  it('in the lines hurts only who reads lines', () => {
    const bytes = FILE.slice();
    bytes[INDEX[1]!.offset - 1]! ^= 1;
    expect(readUntilError(bytes).error).toBeInstanceOf(UserError);
    const withoutLines = readAll(openTrace(bytes));
    expect(withoutLines).toHaveLength(ITEMS.length);
  });
});

describe('a file of another kind', () => {
  it('is named as such', () => {
    const text = new TextEncoder().encode('I  0400d7d4,8 and much more text that is no trace');
    expect(() => openTrace(text)).toThrow(/x\.hmt: not a hetmem trace .*trace import/);
  });

  it('of a newer format asks for a newer hetmem', () => {
    const bytes = FILE.slice();
    bytes[8] = 77;
    expect(() => openTrace(bytes)).toThrow(/trace format 77.*update/);
    bytes[8] = 0;
    expect(() => openTrace(bytes)).toThrow(/trace format 0/);
  });

  it('with a codec that is not there names it', () => {
    const withoutDeflate = PURE_CODECS.filter((codec) => codec.name === 'none');
    const reader = new TraceReader(new MemorySource(FILE, 'x.hmt'), withoutDeflate);
    expect(() => readAll(reader)).toThrow(/x\.hmt: .*deflate/);
  });
});

describe('upgrades', () => {
  it('lead one step at a time to the present version', () => {
    expect(UPGRADE_STEPS.length).toBe(FORMAT_VERSION - 1);
    const steps: UpgradeStep[] = [
      { header: (json) => ({ ...(json as object), one: true }) },
      {
        header: (json) => ({ ...(json as object), two: true }),
        block: (type, block, bytes) => (type === 2 && block === 0 ? bytes.slice(1) : bytes),
      },
    ];
    const bytes = Uint8Array.of(1, 2, 3);
    expect(new Upgrade(1, 'f', steps).header({})).toEqual({ one: true, two: true });
    expect(new Upgrade(2, 'f', steps).header({})).toEqual({ two: true });
    expect(new Upgrade(2, 'f', steps).block(2, 0, bytes)).toEqual(Uint8Array.of(2, 3));
    expect(new Upgrade(3, 'f', steps).isNeeded).toBe(false);
    expect(() => new Upgrade(4, 'f', steps)).toThrow(/1 to 3/);
  });
});
