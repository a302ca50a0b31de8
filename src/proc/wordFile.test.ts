import { describe, expect, it } from 'vitest';
import {
  accessPage,
  Kernel,
  mmapRegion,
  pageAt,
  plainMachine,
  storeWord,
  TASK_SIZE_PAGES,
  type Task,
} from '../mm/index.ts';
import { EACCES, EINVAL, ENXIO, ESRCH } from '../uapi/errno.ts';
import { KPF_BUDDY, KPF_NOPAGE, KPF_RESERVED } from '../uapi/kernelPageFlags.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { kpageflagsOf, openKpagecgroup, openKpagecount, openKpageflags } from './kpageFile.ts';
import { openKpagegen } from './kpagegenFile.ts';
import { openPageIdle } from './pageIdleFile.ts';
import { openPagemap, PagemapFile } from './pagemapFile.ts';
import { readProcessFile } from './processFile.ts';
import { type Words, wordHasBit } from './wordFile.ts';

const START_PFN = 32768;
const PAGES = 4;
const PRESENT = 63;
const EXCLUSIVE = 56;

/** One node from PFN 32768 with 1000 frames reserved and no frame at its end; 4 written pages. */
class Setup {
  readonly k: Kernel;
  readonly task: Task;
  readonly start: number;

  constructor(kernel: Kernel['spec']['kernel'] = '7.3') {
    const zone = { zone: ZONE_NORMAL, pages: 16384 + 24, reserved: 1000 } as const;
    const spec = plainMachine([{ cpus: [0], zones: [zone] }], { startPfn: START_PFN });
    this.k = new Kernel({ ...spec, kernel }, { seed: 1, trackContent: false });
    this.task = this.k.spawn(null, 0);
    const request = { addr: 0, pages: PAGES, prot: PROT_READ | PROT_WRITE, file: null, pgoff: 0 };
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    this.start = mmapRegion(this.k, this.task.mm!, { ...request, flags });
    for (let i = 0; i < PAGES; i++) storeWord(this.k, this.task, this.start + i, i + 1);
    this.k.lru.drainAll();
  }

  pfn(i: number): number {
    return this.k.frames.pfnOf(pageAt(this.k, this.task.mm!, this.start + i));
  }

  other(uid: number): Task {
    const task = this.k.spawn(null, 0);
    task.uid = task.euid = task.suid = uid;
    task.caps = 0;
    return task;
  }
}

function opened<T extends object>(file: T | number): T {
  if (typeof file === 'number') throw new Error(`open returned ${file}`);
  return file;
}

function wordsOf(read: Words | number): Words {
  if (typeof read === 'number') throw new Error(`read returned ${read}`);
  return read;
}

describe('pagemap', () => {
  it('HS-23 -EINVAL for an offset or length that is no multiple of 8', () => {
    const s = new Setup();
    const file = opened(openPagemap(s.k, s.task, s.task));
    expect(file.read(4, 8)).toBe(-EINVAL);
    expect(file.read(8, 12)).toBe(-EINVAL);
  });

  it('HS-22 HS-23 ends at the task size', () => {
    const s = new Setup();
    const file = opened(openPagemap(s.k, s.task, s.task));
    expect(wordsOf(file.read((TASK_SIZE_PAGES - 1) * 8, 64)).length).toBe(2);
    expect(wordsOf(file.read(TASK_SIZE_PAGES * 8, 64)).length).toBe(0);
    expect(wordsOf(file.read((TASK_SIZE_PAGES + 5) * 8, 64)).length).toBe(0);
  });

  it('HS-20 a written page: its PFN, exclusive, present', () => {
    const s = new Setup();
    const words = wordsOf(opened(openPagemap(s.k, s.task, s.task)).read(s.start * 8, PAGES * 8));
    for (let i = 0; i < PAGES; i++) {
      expect(words[2 * i]).toBe(s.pfn(i));
      expect([wordHasBit(words, i, PRESENT), wordHasBit(words, i, EXCLUSIVE)]).toEqual([
        true,
        true,
      ]);
    }
  });

  it('S-HS-09 HS-21 without CAP_SYS_ADMIN at the read, PFNs are 0 and bits stay', () => {
    const s = new Setup();
    const file = opened(openPagemap(s.k, s.task, s.task));
    s.task.caps = 0;
    const words = wordsOf(file.read(s.start * 8, 8));
    expect(words[0]).toBe(0);
    expect(wordHasBit(words, 0, PRESENT)).toBe(true);
  });

  it('HS-21 HS-26 opening needs ptrace-read access: also smaps and numa_maps, not statm', () => {
    const s = new Setup();
    const stranger = s.other(1000);
    expect(openPagemap(s.k, stranger, s.task)).toBe(-EACCES);
    expect(readProcessFile(s.k, stranger, s.task, 'smaps')).toBe(-EACCES);
    expect(readProcessFile(s.k, stranger, s.task, 'numa_maps')).toBe(-EACCES);
    expect(readProcessFile(s.k, stranger, s.task, 'statm')).toBe('4 4 0 0 0 4 0\n');
  });

  it('a task without memory: -ESRCH, statm all 0', () => {
    const s = new Setup();
    const thread = s.other(0);
    thread.mm = null;
    expect(openPagemap(s.k, s.task, thread)).toBe(-ESRCH);
    expect(readProcessFile(s.k, s.task, thread, 'statm')).toBe('0 0 0 0 0 0 0\n');
    expect(openPagemap(s.k, s.task, s.task)).toBeInstanceOf(PagemapFile);
  });
});

describe('kpageflags and kpagecount', () => {
  it('HS-11 root only; -EINVAL off 8; end at the last PFN rounded up to a section', () => {
    const s = new Setup();
    expect(openKpageflags(s.k, s.other(1000))).toBe(-EACCES);
    expect(openKpagecount(s.k, s.other(1000))).toBe(-EACCES);
    expect(openKpagecgroup(s.k, s.other(1000))).toBe(-EACCES);
    const file = opened(openKpageflags(s.k, s.task));
    expect(file.read(1, 8)).toBe(-EINVAL);
    expect(file.read(0, 7)).toBe(-EINVAL);
    expect(wordsOf(file.read((2 * START_PFN - 1) * 8, 80)).length).toBe(2);
    expect(wordsOf(file.read(2 * START_PFN * 8, 80)).length).toBe(0);
  });

  it('HS-12 HS-16 a written anonymous page is mapped once; HS-14 free frames are BUDDY', () => {
    const s = new Setup();
    const flags = wordsOf(opened(openKpageflags(s.k, s.task)).read(s.pfn(0) * 8, 8));
    expect([...flags]).toEqual([0x5828, 4]);
    const count = wordsOf(opened(openKpagecount(s.k, s.task)).read(s.pfn(0) * 8, 8));
    expect([...count]).toEqual([1, 0]);
    expect(kpageflagsOf(s.k, START_PFN + 8192)).toBe(2 ** KPF_BUDDY);
    expect(kpageflagsOf(s.k, START_PFN)).toBe(2 ** KPF_RESERVED);
  });

  it('kpagecgroup: memory of programs is charged, free and reserved pages are not', () => {
    const s = new Setup();
    const file = opened(openKpagecgroup(s.k, s.task));
    const wordAt = (pfn: number) => [...wordsOf(file.read(pfn * 8, 8))];
    expect(wordAt(s.pfn(0))).toEqual([1, 0]);
    expect(wordAt(START_PFN)).toEqual([0, 0]);
    expect(wordAt(START_PFN + 8192)).toEqual([0, 0]);
    expect(wordAt(5)).toEqual([0, 0]);
  });

  it('HS-15 holes are 0; NOPAGE on 6.12', () => {
    expect(kpageflagsOf(new Setup().k, 5)).toBe(0);
    expect(kpageflagsOf(new Setup('6.12').k, 5)).toBe(2 ** KPF_NOPAGE);
  });
});

describe('kpagegen', () => {
  it('PP-73: for CAP_SYS_ADMIN; -EINVAL off 8; ends with the last section', () => {
    const s = new Setup();
    const plain = s.other(0);
    plain.caps = 0;
    expect(openKpagegen(s.k, plain)).toBe(-EACCES);
    const file = opened(openKpagegen(s.k, s.task));
    expect(file.read(4, 8)).toBe(-EINVAL);
    expect(file.read(0, 4)).toBe(-EINVAL);
    expect(wordsOf(file.read(2 * START_PFN * 4 - 8, 80)).length).toBe(2);
    expect(wordsOf(file.read(2 * START_PFN * 4, 80)).length).toBe(0);
  });

  it('PP-60, PP-61: what move_phys_pages2 compares; 0 in a hole, another one once freed', () => {
    const s = new Setup();
    const file = opened(openKpagegen(s.k, s.task));
    const generationOf = (pfn: number) => {
      return wordsOf(file.read(Math.floor(pfn / 2) * 8, 8))[pfn % 2];
    };
    const pfn = s.pfn(0);
    const before = generationOf(pfn);
    expect(before).toBe(s.k.frames.generation[s.k.frames.frameOfPfn(pfn)]);
    expect(before).toBeGreaterThan(0);
    expect(generationOf(5)).toBe(0);
    s.k.frames.bumpGeneration(s.k.frames.frameOfPfn(pfn));
    expect(generationOf(pfn)).toBe(before! + 1);
  });
});

describe('page_idle/bitmap', () => {
  const END = START_PFN + 16384 + 24;
  const ONES = new Uint32Array([0xffffffff, 0xffffffff]);

  it('S-HS-01, S-HS-02 HS-1 root only; HS-2 -EINVAL off 8, past the end EOF and -ENXIO', () => {
    const s = new Setup();
    expect(openPageIdle(s.k, s.other(1000))).toBe(-EACCES);
    const file = opened(openPageIdle(s.k, s.task));
    expect(file.read(4, 8)).toBe(-EINVAL);
    expect(file.write(8, new Uint32Array(3))).toBe(-EINVAL);
    const past = Math.ceil(END / 64) * 8;
    expect(wordsOf(file.read(past, 8)).length).toBe(0);
    expect(file.write(past, ONES)).toBe(-ENXIO);
  });

  it('HS-2 a word that the last PFN cuts is not counted', () => {
    const s = new Setup();
    const file = opened(openPageIdle(s.k, s.task));
    const cut = Math.floor(END / 64) * 8;
    expect(END % 64).not.toBe(0);
    expect(wordsOf(file.read(cut - 8, 16)).length).toBe(2);
    expect(file.write(cut, ONES)).toBe(0);
  });

  it('S-HS-05 HS-4 HS-5 HS-6 set bits mark idle, 0 does nothing, an access clears', () => {
    const s = new Setup();
    const file = opened(openPageIdle(s.k, s.task));
    const bit = s.pfn(1) % 64;
    const offset = Math.floor(s.pfn(1) / 64) * 8;
    const isIdle = () => wordHasBit(wordsOf(file.read(offset, 8)), 0, bit);
    expect(isIdle()).toBe(false);
    expect(file.write(offset, ONES)).toBe(8);
    expect(isIdle()).toBe(true);
    expect(file.write(offset, new Uint32Array(2))).toBe(8);
    expect(isIdle()).toBe(true);
    accessPage(s.k, s.task, s.start + 1, false);
    expect(isIdle()).toBe(false);
  });

  it('HS-3 free and reserved frames and holes read 0 and ignore writes', () => {
    const s = new Setup();
    const file = opened(openPageIdle(s.k, s.task));
    for (const pfn of [0, START_PFN, START_PFN + 8192]) {
      expect(file.write(Math.floor(pfn / 64) * 8, ONES)).toBe(8);
      expect([...wordsOf(file.read(Math.floor(pfn / 64) * 8, 8))]).toEqual([0, 0]);
    }
  });
});
