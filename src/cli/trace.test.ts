/** `hetmem trace` as a user meets it: files, options, messages; nothing is left half-written. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openTrace, type PlainItem, traceFile } from '../../test/trace/traceFile.ts';
import { describe as describeTrace } from './trace.ts';

let folder = '';
let out = '';
let err = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-trace-'));
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const ITEMS: PlainItem[] = Array.from({ length: 10 }, (_, i) => ({
  pid: i % 2,
  tid: i % 2 === 0 ? 0 : 2,
  insnStart: i * 100,
  insnEnd: i * 100 + 100,
  vpn: Array.from({ length: 20 }, (_, k) => 5000 + i * 20 + k),
  lineWrite: Array.from({ length: 20 }, (_, k) => k),
}));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function hetmem(...args: string[]): Promise<void> {
  const program = new Command('hetmem').exitOverride();
  describeTrace(program);
  await program.parseAsync(['trace', ...args], { from: 'user' });
}

describe('hetmem trace info', () => {
  it('says where a trace comes from and what it holds', async () => {
    await hetmem('info', file('a.hmt', traceFile(ITEMS)));
    expect(out).toMatch(/program +\/usr\/bin\/sort -n größe\.txt/);
    expect(out).toMatch(/cache-misses; L2 1\.0 MiB, 16 ways, 64-byte lines, per thread/);
    expect(out).toMatch(/200 accesses \(50\.0% writes\) in 10 slices, 0 events/);
    expect(out).toMatch(/touched +800\.0 KiB, written 400\.0 KiB/);
    expect(out).toMatch(/1 +child +100/);
    await hetmem('info', '--verify', join(folder, 'a.hmt'));
    expect(out).toMatch(/every checksum is right/);
  });

  it('tells what a recorder counted in words, and nothing of what it has not to say', async () => {
    const lackey = join(folder, 'lackey.txt');
    writeFileSync(lackey, ' L 10000000,8\n S 10001000,8\n');
    const made = join(folder, 'lackey.hmt');
    await hetmem('import', lackey, '-o', made);
    out = '';
    await hetmem('info', made);
    expect(out).toMatch(/^skipped kernel +0$/m);
    expect(out).not.toMatch(/skippedKernel|^\S.*\S {2,}$/m);
  });

  it('gives the same as JSON, read from the end or from the whole', async () => {
    await hetmem('info', '--json', file('a.hmt', traceFile(ITEMS)));
    const fromEnd = JSON.parse(out);
    out = '';
    await hetmem('info', '--json', file('b.hmt', traceFile(ITEMS, { isFinished: false })));
    const fromAll = JSON.parse(out);
    expect(fromAll.damage).toMatch(/cut or damaged/);
    expect(process.exitCode).toBe(1);
    expect(fromAll.summary).toEqual({ ...fromEnd.summary, recorder: {} });
    expect(fromAll.threads).toEqual(fromEnd.threads);
  });

  it('finds damage that only reading shows', async () => {
    const bytes = traceFile(ITEMS);
    bytes[openTrace(bytes).index[0]!.offset + 200]! ^= 1;
    const path = file('a.hmt', bytes);
    await hetmem('info', path);
    expect(process.exitCode).toBe(undefined);
    await hetmem('info', '--verify', path);
    expect(process.exitCode).toBe(1);
    expect(err).toMatch(/a\.hmt: byte \d+ of \d+: the trace is cut or damaged/);
  });

  it('names files that are none', async () => {
    await expect(hetmem('info', join(folder, 'x.hmt'))).rejects.toThrow(/x\.hmt: no such file/);
    await expect(hetmem('info', folder)).rejects.toThrow(/is a folder/);
    const text = file('t.txt', 'hello, this is no trace\n');
    await expect(hetmem('info', text)).rejects.toThrow(/t\.txt: not a hetmem trace.*import/);
  });
});

describe('hetmem trace cut', () => {
  it('writes a part, and says so in its history', async () => {
    const path = file('a.hmt', traceFile(ITEMS));
    const part = join(folder, 'part.hmt');
    await hetmem('cut', path, '--accesses', '50..130', '--pid', '0', '-o', part, '--codec', 'zstd');
    out = '';
    await hetmem('info', '--json', part);
    const { header, summary } = JSON.parse(out);
    expect(header.history).toEqual(['cut --accesses 50..130 --pid 0']);
    expect(summary.accesses).toBe(40);
  });

  it('cuts by time where the clock has a rate', async () => {
    const path = file('a.hmt', traceFile(ITEMS));
    const part = join(folder, 'part.hmt');
    await expect(hetmem('cut', path, '--time', '1s..2s', '-o', part)).rejects.toThrow(/--rate/);
    await hetmem('cut', path, '--time', '200ms..400ms', '--rate', '1k', '-o', part, '--json');
    expect(JSON.parse(out).accesses).toBe(40);
  });

  it('salvages what is whole', async () => {
    const bytes = traceFile(ITEMS, { itemsPerChunk: 4 });
    const path = file('a.hmt', bytes.slice(0, openTrace(bytes).index[2]!.offset + 50));
    const whole = join(folder, 'whole.hmt');
    await expect(hetmem('cut', path, '-o', whole)).rejects.toThrow(/cut or damaged.*--salvage/);
    expect(readdirSync(folder)).toEqual(['a.hmt']);
    await hetmem('cut', path, '--salvage', '-o', whole, '--json');
    const { accesses, damage } = JSON.parse(out);
    expect(accesses).toBe(2 * 4 * 20);
    expect(damage).toMatch(/cut or damaged/);
    await hetmem('info', '--verify', whole);
    expect(process.exitCode).toBe(undefined);
  });

  it.each([
    [['--accesses', '5'], /--accesses 5: is no range/],
    [['--accesses', '9..3'], /is an empty range/],
    [['--insn', 'a..b'], /--insn a: is no number/],
    [['--pid', 'x'], /--pid x: is no list/],
    [['--pid', '7'], /there is no process 7/],
    [['--codec', 'zip'], /--codec zip: no such compression \(none, deflate, zstd\)/],
    [['--time', '1..2'], /has|--time|rate/],
  ])('with %j leaves nothing behind', async (options, message) => {
    const path = file('a.hmt', traceFile(ITEMS));
    const part = join(folder, 'part.hmt');
    await expect(hetmem('cut', path, ...options, '-o', part)).rejects.toThrow(message);
    expect(readdirSync(folder)).toEqual(['a.hmt']);
  });

  it('does not replace a file unless told to', async () => {
    const path = file('a.hmt', traceFile(ITEMS));
    const part = file('part.hmt', 'precious');
    await expect(hetmem('cut', path, '-o', part)).rejects.toThrow(/exists already.*--force/);
    expect(readFileSync(part, 'utf8')).toBe('precious');
    await hetmem('cut', path, '-o', part, '--force');
    expect(readFileSync(part)).not.toHaveLength(8);
  });
});

describe('hetmem trace import and export', () => {
  const LACKEY = ' L 00010000,4\n S 00010040,4\n';

  it('lead to the same text again', async () => {
    const input = file('l.txt', LACKEY);
    const trace = join(folder, 'l.hmt');
    await hetmem('import', input, '-o', trace, '--program', 'prog -x');
    expect(err).toMatch(/2 accesses of 1 process, .*read as lackey/);
    await hetmem('export', trace, '--to', 'lackey', '--limit', '1');
    expect(out).toBe(' L 00010000,64\n');
    await hetmem('export', trace, '--to', 'csv', '-o', join(folder, 'l.csv'));
    expect(readFileSync(join(folder, 'l.csv'), 'utf8')).toMatch(/0,0,1,R,0x10000,\n/);
    out = '';
    await hetmem('info', '--json', trace);
    const { header } = JSON.parse(out);
    expect(header).toMatchObject({ program: 'prog', args: ['-x'] });
    expect(header.history).toEqual(['imported from lackey']);
  });

  it('name the line that is wrong and leave nothing behind', async () => {
    const input = file('l.txt', `${LACKEY} L zebra\n`);
    const trace = join(folder, 'l.hmt');
    await expect(hetmem('import', input, '-o', trace)).rejects.toThrow(/l\.txt:3: no .*zebra/);
    expect(readdirSync(folder)).toEqual(['l.txt']);
    const exporting = hetmem('export', input, '--to', 'xml');
    await expect(exporting).rejects.toThrow(
      /--to xml: unknown format \(one of text, csv, lackey\)/,
    );
  });
});
