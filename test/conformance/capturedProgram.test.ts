/**
 * The program whose /proc/self files were captured on four-nodes-cma, acted out on the same machine
 * in the model: the same areas at the same addresses, read through the same files.
 *
 * Not compared: the program's own image, heap, stack and vDSO; device and inode numbers; PFNs (the
 * captured machine had other pages in use); the flag LRU of the area "read-only", whose pages were
 * still in a per-CPU batch.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { observedMachine } from '../../src/hw/index.ts';
import { Kernel, loadWord, type MappedFile, mmapRegion, storeWord } from '../../src/mm/index.ts';
import {
  formatMapsArea,
  formatNumaMaps,
  formatSmaps,
  formatStatm,
  kpagecountOf,
  kpageflagsOf,
  openPagemap,
  PagemapFile,
  parseMaps,
  parseNumaMaps,
  parseSmaps,
  parseStatm,
  readProcessFile,
} from '../../src/proc/index.ts';
import { madvise, mbind, mlock, mmap, mprotect } from '../../src/syscalls/index.ts';
import { KPF_LRU } from '../../src/uapi/kernelPageFlags.ts';
import { MPOL_BIND, MPOL_INTERLEAVE } from '../../src/uapi/mempolicy.ts';
import {
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/uapi/mman.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const captures = join(folder, 'captures/four-nodes-cma');
const machines = JSON.parse(readFileSync(join(folder, 'machines.json'), 'utf8'));
const captured = (file: string) => readFileSync(join(captures, file), 'utf8');

const k = new Kernel(observedMachine(machines, 'four-nodes-cma'), { seed: 1, trackContent: true });
const task = k.spawn(null, 0);
const RW = PROT_READ | PROT_WRITE;
const page = (address: number) => address / 4096;

const ANON = MAP_PRIVATE | MAP_ANONYMOUS;

function map(address: number, pages: number, prot = RW, flags = ANON, file?: MappedFile): void {
  const at = { addr: page(address), pages, prot, flags: flags | MAP_FIXED };
  const request = { ...at, file: file ?? null, pgoff: 0 };
  expect(mmapRegion(k, task.mm!, request)).toBe(page(address));
}

function read(address: number, pages: number): void {
  for (let i = 0; i < pages; i++) loadWord(k, task, page(address) + i);
}

function write(address: number, pages: number): void {
  for (let i = 0; i < pages; i++) storeWord(k, task, page(address) + i, i + 1);
}

const nodes = (...bits: number[]) => ({ bits, maxnode: 65 });

/** madvise NOHUGEPAGE and a policy, then the first pages are written. */
function areaOfNode(address: number, pages: number, mode: number, ...nids: number[]): void {
  map(address, pages);
  expect(madvise(k, task, address, pages * 4096, MADV_NOHUGEPAGE)).toBe(0);
  expect(mbind(k, task, address, pages * 4096, mode, nodes(...nids), 0)).toBe(0);
  write(address, pages);
}

function areaWithoutHuge(address: number, pages: number, written: number): void {
  map(address, pages);
  expect(madvise(k, task, address, pages * 4096, MADV_NOHUGEPAGE)).toBe(0);
  write(address, written);
}

/** Two pages of the pool, one of them written. */
function hugetlbArea(): void {
  k.hugetlb.resize(2, 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB;
  expect(mmap(k, task, 0x700002000000, 2 ** 22, RW, flags, null, 0)).toBe(0x700002000000);
  write(0x700002000000, 512);
}

function actOut(): void {
  areaWithoutHuge(0x700000000000, 64, 32);
  map(0x700000100000, 16);
  areaOfNode(0x700000200000, 16, MPOL_BIND, 1);
  areaOfNode(0x700000300000, 32, MPOL_INTERLEAVE, 0, 1, 2);
  map(0x700000400000, 1024);
  expect(madvise(k, task, 0x700000400000, 2 ** 22, MADV_HUGEPAGE)).toBe(0);
  write(0x700000400000, 512);
  areaWithoutHuge(0x700001000000, 8, 8);
  expect(mlock(k, task, 0x700001000000, 8 * 4096)).toBe(0);
  map(0x700001100000, 16, RW, MAP_SHARED | MAP_ANONYMOUS);
  write(0x700001100000, 8);
  const file = k.newFile('/ext4/cap', 'ext4', 16);
  map(0x700001200000, 16, RW, MAP_SHARED, file);
  read(0x700001200000, 16);
  write(0x700001200000, 4);
  map(0x700001300000, 16, RW, MAP_PRIVATE, file);
  read(0x700001300000, 8);
  write(0x700001300000, 4);
  areaWithoutHuge(0x700001400000, 8, 0);
  read(0x700001400000, 8);
  areaWithoutHuge(0x700001500000, 16, 16);
  expect(madvise(k, task, 0x700001500000, 8 * 4096, MADV_PAGEOUT)).toBe(0);
  areaWithoutHuge(0x700001600000, 8, 8);
  expect(mprotect(k, task, 0x700001600000, 8 * 4096, PROT_READ)).toBe(0);
  map(0x700001700000, 8, PROT_NONE);
  hugetlbArea();
  k.lru.drainAll();
}

actOut();

/** The areas that the program made. */
const isOwn = (start: number) => start >= 0x700000000000 && start < 0x700002400000;

function text(name: Parameters<typeof readProcessFile>[3]): string {
  const read = readProcessFile(k, task, task, name);
  expect(read).toBeTypeOf('string');
  return String(read);
}

describe('files of a captured process', () => {
  it('layout: what is read comes back byte by byte', () => {
    const maps = captured('proc/self/maps');
    expect(parseMaps(maps).map(formatMapsArea).join('')).toBe(maps);
    for (const name of ['proc/self/smaps', 'proc/self/smaps_rollup']) {
      const theirs = captured(name);
      expect(formatSmaps(parseSmaps(theirs)), name).toBe(theirs);
    }
    const numaMaps = captured('proc/self/numa_maps');
    expect(formatNumaMaps(parseNumaMaps(numaMaps))).toBe(numaMaps);
    const statm = captured('proc/self/statm');
    expect(formatStatm(parseStatm(statm))).toBe(statm);
  });

  it('maps: the same areas', () => {
    const shown = (maps: string) =>
      parseMaps(maps)
        .filter((area) => isOwn(area.start))
        .map(({ start, end, perms, offset, name }) => ({ start, end, perms, offset, name }));
    expect(shown(text('maps'))).toEqual(shown(captured('proc/self/maps')));
  });

  it('HS-27 smaps: the same rows in the same order, the same values and flags', () => {
    const shown = (smaps: string) =>
      parseSmaps(smaps)
        .filter(({ area }) => isOwn(area.start))
        .map(({ area, rows, flags }) => [area.start.toString(16), [...rows], flags]);
    expect(shown(text('smaps'))).toEqual(shown(captured('proc/self/smaps')));
  });

  it('smaps_rollup: the same rows in the same order; sums of smaps', () => {
    const [ours] = parseSmaps(text('smaps_rollup'));
    const [theirs] = parseSmaps(captured('proc/self/smaps_rollup'));
    expect([...ours.rows.keys()]).toEqual([...theirs.rows.keys()]);
    const areas = parseSmaps(text('smaps'));
    for (const row of ['Rss', 'Anonymous', 'Swap', 'AnonHugePages', 'Private_Dirty']) {
      const sum = areas.reduce((all, area) => all + area.rows.get(row)!, 0);
      expect(`${row} ${ours.rows.get(row)}`).toBe(`${row} ${sum}`);
    }
  });

  it('HS-26 numa_maps: the same policies and counts', () => {
    const shown = (numaMaps: string) =>
      parseNumaMaps(numaMaps)
        .filter((area) => isOwn(area.start))
        .map(({ start, policy, what, counts }) => [start, policy, what, [...counts]]);
    expect(shown(text('numa_maps'))).toEqual(shown(captured('proc/self/numa_maps')));
  });
});

const PAGEMAPS = [
  'anon',
  'ext4-private',
  'ext4-shared',
  'hugetlb',
  'interleaved',
  'mlocked',
  'node1-bound',
  'read-only',
  'shmem',
  'swapped-half',
  'thp',
  'zero',
];

/** Flags that are not compared, by area; why is said at the top. */
const LEFT_OUT: Readonly<Record<string, number>> = {
  'read-only': KPF_LRU,
};

/** Flags in hexadecimal without the one that is left out. */
function compared(area: string, flags: string): string {
  const bit = area in LEFT_OUT ? 1n << BigInt(LEFT_OUT[area]) : 0n;
  return (BigInt(`0x${flags}`) & ~bit).toString(16);
}

describe('HS-13 HS-16 HS-20 HS-22 pagemap, kpageflags, kpagecount of an area', () => {
  it.each(PAGEMAPS)('%s', (area) => {
    const lines = captured(`pagemap-${area}.txt`).trim().split('\n');
    const opened = openPagemap(k, task, task);
    if (!(opened instanceof PagemapFile)) throw new Error('pagemap does not open');
    const theirs: string[] = [];
    const ours: string[] = [];
    for (const line of lines) {
      const [address, entry, flags, count] = line.split(' ');
      const word = BigInt(`0x${entry}`);
      const isSwapped = ((word >> 62n) & 1n) === 1n;
      // A swap slot is comparable: the area is free when the program starts. PFNs are not.
      const payload = isSwapped ? word & (2n ** 55n - 1n) : 0n;
      const bitsSeen = (word >> 55n).toString(16);
      theirs.push(`${address} ${bitsSeen} ${payload} ${compared(area, flags)} ${count}`);
      const words = opened.read((Number.parseInt(address, 16) / 4096) * 8, 8);
      if (typeof words === 'number') throw new Error(`read returned ${words}`);
      const mine = BigInt(words[0]) + (BigInt(words[1]) << 32n);
      const bits = (mine >> 55n).toString(16);
      const pfn = Number(mine & (2n ** 55n - 1n));
      const present = mine >> 63n === 1n;
      const mineFlags = present ? kpageflagsOf(k, pfn).toString(16) : '0';
      const mineCount = present ? kpagecountOf(k, pfn).toString(16) : '0';
      const slot = isSwapped ? BigInt(pfn) : 0n;
      ours.push(`${address} ${bits} ${slot} ${compared(area, mineFlags)} ${mineCount}`);
    }
    expect(ours).toEqual(theirs);
  });

  it.each(['node0-DMA', 'node3-Movable'])('HS-13 HS-14 frames of unused %s', (zone) => {
    for (const line of captured(`kpage-${zone}.txt`).trim().split('\n')) {
      const [pfn, flags] = line.split(' ');
      const ours = kpageflagsOf(k, Number.parseInt(pfn, 16));
      expect(`${pfn} ${ours.toString(16)}`).toBe(`${pfn} ${flags}`);
    }
  });
});
