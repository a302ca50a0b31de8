/** `hetmem proc` as a user meets it: text, binary files, trees of files, messages. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseMeminfo, parseNumaMaps, parseZoneinfo } from '../proc/index.ts';
import { describe as describeProc } from './proc.ts';

let folder = '';
let out: Buffer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-proc-'));
  out = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((bytes) => {
    out.push(Buffer.from(bytes));
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const printed = () => Buffer.concat(out);

async function hetmem(...args: string[]): Promise<void> {
  const program = new Command('hetmem').exitOverride();
  describeProc(program);
  await program.parseAsync(['proc', ...args], { from: 'user' });
}

const CASE = ['--case', 'mp_move_flags0'];
/** The case's region A: four pages at 0x700000000000, which step 3 moves to node 1. */
const ENTRY = (0x700000000000 / 4096) * 8;
const at = (offset: number, length: number) => ['--offset', `${offset}`, '--length', `${length}`];

describe('hetmem proc', () => {
  it('prints a file of a machine after boot, and nothing else', async () => {
    await hetmem('--machine', 'dram-cxl-asic', '/proc/meminfo');
    expect(parseMeminfo(`${printed()}`).get('MemTotal')).toBeGreaterThan(0);
  });

  it('prints several files under their paths', async () => {
    await hetmem('--machine', 'dram-cxl-asic', '/proc/swaps', '/sys/kernel/mm/numa');
    expect(`${printed()}`).toMatch(/^==> \/proc\/swaps <==\nFilename/);
    expect(`${printed()}`).toContain('==> /sys/kernel/mm/numa/demotion_enabled <==\nfalse\n');
  });

  it('shows a case after the step that is asked for', async () => {
    const nodeOf = async (step: string) => {
      out = [];
      await hetmem(...CASE, '--step', step, '/proc/100/numa_maps');
      const area = parseNumaMaps(`${printed()}`).find(({ start }) => start === 0x700000000000);
      return [...(area?.counts.keys() ?? [])].filter((count) => /^N\d/.test(count));
    };
    expect(await nodeOf('2')).toEqual(['N0']);
    expect(await nodeOf('3')).toEqual(['N1']);
  });

  it('prints words of a binary file: a present page, its PFN in kpageflags', async () => {
    await hetmem(...CASE, '/proc/100/pagemap', ...at(ENTRY, 8));
    const entry = printed().readBigUInt64LE();
    expect(entry >> 63n).toBe(1n);
    out = [];
    const pfn = Number(entry & (2n ** 55n - 1n));
    await hetmem(...CASE, '/proc/kpageflags', ...at(pfn * 8, 16));
    expect(printed().length).toBe(16);
    expect((printed().readBigUInt64LE() >> 12n) & 1n).toBe(1n);
  });

  it('HS-2 refuses positions that are no multiples of 8, and 256 GiB at once', async () => {
    await expect(hetmem(...CASE, '/proc/kpageflags', ...at(4, 8))).rejects.toThrow('EINVAL');
    await expect(hetmem(...CASE, '/proc/100/pagemap')).rejects.toThrow('256 GiB');
  });

  it('writes all files below a folder, binary ones sparse and at their offsets', async () => {
    const tree = join(folder, 'tree');
    await hetmem(...CASE, '--out', tree);
    const zones = parseZoneinfo(readFileSync(join(tree, 'proc/zoneinfo'), 'utf8'));
    expect(zones.length).toBeGreaterThan(4);
    const pagemap = statSync(join(tree, 'proc/100/pagemap'));
    expect(pagemap.size).toBeGreaterThan(ENTRY);
    expect(pagemap.blocks * 512).toBeLessThan(2 ** 20);
    await hetmem(...CASE, '/proc/kpageflags', ...at(0, 2 ** 24));
    expect(readFileSync(join(tree, 'proc/kpageflags')).equals(printed())).toBe(true);
  });

  it('leaves a folder with files alone, unless --force', async () => {
    writeFileSync(join(folder, 'mine'), 'mine');
    const args = [...CASE, '--out', folder, '/proc/vmstat'];
    await expect(hetmem(...args)).rejects.toThrow('is not empty');
    expect(existsSync(join(folder, 'proc'))).toBe(false);
    await hetmem(...args, '--force');
    expect(readFileSync(join(folder, 'proc/vmstat'), 'utf8')).toMatch(/^nr_free_pages \d/);
    expect(readFileSync(join(folder, 'mine'), 'utf8')).toBe('mine');
  });

  it('says what is wrong with machine, case, step and path', async () => {
    await expect(hetmem('/proc/vmstat')).rejects.toThrow('--state, --case and --machine');
    await expect(hetmem('--case', 'mp_none', '--list')).rejects.toThrow('no case mp_none');
    await expect(hetmem(...CASE, '--step', '99', '--list')).rejects.toThrow('the case has');
    await expect(hetmem(...CASE, '/proc/uptime')).rejects.toThrow('not modelled');
    await expect(hetmem(...CASE, '/proc/9/maps')).rejects.toThrow('ENOENT');
    await expect(hetmem(...CASE, '--kernel', '5.4', '--list')).rejects.toThrow('5.4');
  });
});
