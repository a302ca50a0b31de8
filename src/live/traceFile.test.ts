/** Files and pipes as byte sources, and what is said when they cannot be read. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAll, traceFile } from '../../test/trace/traceFile.ts';
import { FileSource, inputSource, openTraceFile, PipeSource } from './traceFile.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-live-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);

function bytesAt(source: { read(offset: number, into: Uint8Array): number }, offset: number) {
  const into = new Uint8Array(300);
  return Array.from(into.subarray(0, source.read(offset, into)));
}

describe('FileSource', () => {
  it('reads anywhere, fewer bytes only at the end', () => {
    const source = new FileSource(file('a', BYTES));
    expect(source.sizeBytes).toBe(1000);
    expect(bytesAt(source, 500)).toEqual(Array.from(BYTES.subarray(500, 800)));
    expect(bytesAt(source, 100)).toEqual(Array.from(BYTES.subarray(100, 400)));
    expect(bytesAt(source, 900)).toEqual(Array.from(BYTES.subarray(900)));
    expect(bytesAt(source, 5000)).toEqual([]);
    source.close();
  });

  it('says why a file cannot be read', () => {
    expect(() => new FileSource(join(folder, 'none'))).toThrow(/none: no such file/);
    expect(() => new FileSource(folder)).toThrow(/is a folder/);
    expect(() => new FileSource('/dev/null')).toThrow(/no regular file/);
  });
});

describe('PipeSource', () => {
  it('reads in order, its beginning twice', () => {
    const fd = openSync(file('b', BYTES), 'r');
    const source = new PipeSource(fd);
    expect(source.sizeBytes).toBe(Number.POSITIVE_INFINITY);
    expect(bytesAt(source, 0)).toEqual(Array.from(BYTES.subarray(0, 300)));
    expect(bytesAt(source, 0)).toEqual(Array.from(BYTES.subarray(0, 300)));
    expect(bytesAt(source, 300)).toEqual(Array.from(BYTES.subarray(300, 600)));
    expect(() => bytesAt(source, 200)).toThrow(/cannot be read twice/);
    expect(bytesAt(source, 600)).toHaveLength(300);
    expect(bytesAt(source, 900)).toHaveLength(100);
    expect(source.sizeBytes).toBe(1000);
    closeSync(fd);
  });

  it('goes on behind its beginning within one read', () => {
    const fd = openSync(file('c', BYTES), 'r');
    const source = new PipeSource(fd);
    bytesAt(source, 0);
    const into = new Uint8Array(700);
    expect(source.read(0, into)).toBe(700);
    expect(into).toEqual(BYTES.slice(0, 700));
    closeSync(fd);
  });

  it('is what - names', () => {
    expect(inputSource('-')).toBeInstanceOf(PipeSource);
  });
});

describe('openTraceFile', () => {
  it('opens a trace with all codecs, and closes what is none', async () => {
    const { reader, source } = await openTraceFile(file('d.hmt', traceFile([])));
    expect(readAll(reader)).toEqual([]);
    source.close();
    await expect(openTraceFile(file('e.hmt', BYTES))).rejects.toThrow(/e\.hmt: not a hetmem trace/);
  });
});
