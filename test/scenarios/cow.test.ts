/**
 * What tools/testing/selftests/mm/cow.c sets up and asserts, on the model: nobody sees what another
 * process wrote after fork, and a pin and the entry of its page go on meaning the same page (PM-8,
 * PM-10). Every kind of memory, everything that happens to it.
 */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE, type Vpn } from '../../src/base/units.ts';
import {
  checkInvariants,
  exitTask,
  type FileKind,
  forkTask,
  getUserPagesFast,
  Kernel,
  loadWord,
  pinUserPages,
  pinUserPagesFast,
  plainMachine,
  putUserPages,
  storeWord,
  type Task,
  unpinUserPages,
} from '../../src/mm/index.ts';
import { madvise, mmap, mprotect, mremap, munmap } from '../../src/syscalls/index.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../../src/uapi/gup.ts';
import {
  MADV_COLLAPSE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  PROT_READ,
} from '../../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { PRIVATE, RW, SECTION } from './machine.ts';

const HUGE = 512;
/** 2 MiB aligned. */
const BASE = 0x7000_0000_0000;
const OTHER = BASE + 64 * HUGE * PAGE_SIZE;

class Memory {
  readonly k: Kernel;
  readonly task: Task;
  /** The pages that the test looks at, of a large area a few, and the end of the area. */
  pages: Vpn[] = [];
  end: Vpn = 0;

  constructor() {
    const nodes = [{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: SECTION }] }];
    const spec = plainMachine(nodes, { startPfn: SECTION, sysctl: { thp_enabled: 'madvise' } });
    const swap = { pages: 8192, readNs: 0, writeNs: 0 };
    this.k = new Kernel({ ...spec, swap }, { seed: 1, trackContent: true });
    this.k.hugetlb.resize(4, 0);
    this.task = this.k.spawn(null, 0);
  }

  map(nr: number, flags = PRIVATE, file: Parameters<typeof mmap>[6] = null): void {
    const bytes = nr * PAGE_SIZE;
    const at = mmap(this.k, this.task, BASE, bytes, RW, flags | MAP_FIXED, file, 0);
    expect(at).toBe(BASE);
    this.look(nr);
  }

  /** The area ends after `nr` pages. */
  look(nr: number): void {
    const first = BASE / PAGE_SIZE;
    this.end = first + nr;
    this.pages = [...new Set([0, Math.floor(nr / 3), nr - 1])].map((n) => first + n);
  }

  call(
    what: (k: Kernel, task: Task, addr: number, len: number, arg: number) => number,
    from: number,
    nr: number,
    arg: number,
  ): void {
    const result = what(this.k, this.task, BASE + from * PAGE_SIZE, nr * PAGE_SIZE, arg);
    expect(result).toBe(0);
  }

  store(task: Task, salt: number): void {
    for (const vpn of this.pages) storeWord(this.k, task, vpn, salt + (vpn % 1024));
  }

  /** The salt of all pages; NaN if they differ. */
  seen(task: Task): number {
    return sameSalt(this.pages, (vpn) => loadWord(this.k, task, vpn));
  }

  held(frames: readonly number[]): number {
    return sameSalt(this.pages, (_, n) => this.k.frames.content![frames[n]]);
  }

  protect(task: Task, prot: number): void {
    const bytes = (this.end - this.pages[0]) * PAGE_SIZE;
    expect(mprotect(this.k, task, BASE, bytes, prot)).toBe(0);
  }

  unmap(task: Task): void {
    const bytes = (this.end - this.pages[0]) * PAGE_SIZE;
    expect(munmap(this.k, task, BASE, bytes)).toBe(0);
  }

  /** References or pins of every page, through `how`. */
  take(task: Task, how: typeof pinUserPages, flags: number): number[] {
    const frames: number[] = [];
    for (const vpn of this.pages) expect(how(this.k, task, vpn, 1, flags, frames)).toBe(1);
    return frames;
  }

  fork(): Task {
    return forkTask(this.k, this.task) as Task;
  }
}

function sameSalt(pages: readonly Vpn[], word: (vpn: Vpn, n: number) => number): number {
  const salts = new Set(pages.map((vpn, n) => word(vpn, n) - (vpn % 1024)));
  return salts.size === 1 ? [...salts][0] : Number.NaN;
}

const OLD = 10_000;
const NEW = 20_000;

function hugePage(m: Memory): void {
  m.map(HUGE);
  m.call(madvise, 0, HUGE, MADV_HUGEPAGE);
  m.store(m.task, OLD);
  expect(m.task.mm!.pmd[m.task.mm!.slotOf(m.pages[0])]).not.toBe(0);
}

/** One area again, but 512 entries. */
function inEntries(m: Memory): void {
  hugePage(m);
  m.call(mprotect, 0, 1, PROT_READ);
  m.call(mprotect, 0, 1, RW);
  expect(m.task.mm!.pmd[m.task.mm!.slotOf(m.pages[0])]).toBe(0);
}

function onePageOfIt(m: Memory): void {
  hugePage(m);
  munmap(m.k, m.task, BASE + PAGE_SIZE, (HUGE - 1) * PAGE_SIZE);
  m.look(1);
}

function halfMoved(m: Memory): void {
  hugePage(m);
  const half = (HUGE / 2) * PAGE_SIZE;
  expect(mremap(m.k, m.task, BASE + half, half, half, 3, OTHER)).toBe(OTHER);
  m.look(HUGE / 2);
  m.store(m.task, OLD);
}

function halfShared(m: Memory): void {
  hugePage(m);
  m.call(madvise, HUGE / 2, HUGE / 2, MADV_DONTFORK);
  const child = m.fork();
  exitTask(m.k, child);
  m.call(madvise, HUGE / 2, HUGE / 2, MADV_DOFORK);
}

function swappedOut(make: (m: Memory) => void) {
  return (m: Memory) => {
    make(m);
    m.call(madvise, 0, m.end - m.pages[0], MADV_PAGEOUT);
    expect(m.task.mm!.swapEnts).toBe(m.end - m.pages[0]);
  };
}

function smallPages(m: Memory): void {
  m.map(3);
  m.store(m.task, OLD);
}

const ANON: readonly (readonly [string, (m: Memory) => void])[] = [
  ['base pages', smallPages],
  ['base pages, swapped out', swappedOut(smallPages)],
  ['a THP', hugePage],
  ['a THP, swapped out', swappedOut(hugePage)],
  ['a PTE-mapped THP', inEntries],
  ['a PTE-mapped THP, swapped out', swappedOut(inEntries)],
  ['one page of a THP', onePageOfIt],
  ['one page of a THP, swapped out', swappedOut(onePageOfIt)],
  ['a THP of which half has moved', halfMoved],
  ['a THP of which half was shared', halfShared],
];

function hugetlb(m: Memory): void {
  m.map(HUGE, PRIVATE | MAP_HUGETLB);
  m.store(m.task, OLD);
}

function ofFile(kind: FileKind) {
  return (m: Memory) => {
    m.map(3, MAP_PRIVATE, m.k.newFile('f', kind, 3));
    for (const vpn of m.pages) loadWord(m.k, m.task, vpn);
  };
}

function zeroPages(m: Memory): void {
  m.map(3);
  for (const vpn of m.pages) loadWord(m.k, m.task, vpn);
}

function hugeZeroPage(m: Memory): void {
  m.map(HUGE);
  m.call(madvise, 0, HUGE, MADV_HUGEPAGE);
  loadWord(m.k, m.task, m.pages[0]);
}

/** Private memory that the program has not written yet. */
const UNWRITTEN: readonly (readonly [string, (m: Memory) => void])[] = [
  ['the zero page', zeroPages],
  ['the huge zero page', hugeZeroPage],
  ['tmpfs', ofFile('tmpfs')],
  ['ext4', ofFile('ext4')],
];

function prepared(make: (m: Memory) => void): Memory {
  const m = new Memory();
  make(m);
  return m;
}

/**
 * hugetlb_wp asks for one mapping only, not for references: what is in a pipe changes with the
 * page. cow.c expects it to fail there (xfail).
 */
const WITH_HUGETLB = [
  ...ANON.map(([name, make]) => [name, make, OLD] as const),
  ['hugetlb', hugetlb, NEW] as const,
];

describe.each(WITH_HUGETLB)('%s: fork', (_name, make, inPipe) => {
  it.each([
    ['', false],
    [', after mprotect', true],
  ])('the parent writes: the child sees the old data%s', (_how, isProtected) => {
    const m = prepared(make);
    const child = m.fork();
    if (isProtected) {
      m.protect(m.task, PROT_READ);
      m.protect(m.task, RW);
    }
    m.store(m.task, NEW);
    expect([m.seen(child), m.seen(m.task)]).toEqual([OLD, NEW]);
    checkInvariants(m.k);
  });

  it.each([
    ['', false],
    [', after mprotect', true],
  ])(
    'the child has its pages in a pipe and unmaps them, the parent writes%s',
    (_how, isProtected) => {
      const m = prepared(make);
      const child = m.fork();
      const pipe = m.take(child, getUserPagesFast, 0);
      m.unmap(child);
      if (isProtected) {
        m.protect(m.task, PROT_READ);
        m.protect(m.task, RW);
      }
      m.store(m.task, NEW);
      expect(m.held(pipe)).toBe(inPipe);
      putUserPages(m.k, pipe);
      checkInvariants(m.k);
    },
  );

  it.each([
    ['before fork', true],
    ['after fork', false],
  ])(
    'the parent has them in a pipe since %s and unmaps them, the child writes',
    (_when, before) => {
      const m = prepared(make);
      let pipe = before ? m.take(m.task, getUserPagesFast, 0) : [];
      const child = m.fork();
      if (!before) pipe = m.take(m.task, getUserPagesFast, 0);
      m.unmap(m.task);
      m.store(child, NEW);
      expect(m.held(pipe)).toBe(inPipe);
      putUserPages(m.k, pipe);
      checkInvariants(m.k);
    },
  );
});

describe.each(ANON)('%s: a registered buffer', (_name, make) => {
  it.each([
    ['mprotect and reclaim', false],
    ['fork', true],
  ])('means what the CPU writes after %s', (_what, isForked) => {
    const m = prepared(make);
    const pins = m.take(m.task, pinUserPages, FOLL_WRITE | FOLL_LONGTERM);
    const child = isForked ? m.fork() : null;
    if (!isForked) {
      m.protect(m.task, PROT_READ);
      m.call(madvise, 0, 1, MADV_PAGEOUT);
      m.protect(m.task, RW);
    }
    m.store(m.task, NEW);
    expect(m.held(pins)).toBe(NEW);
    if (child !== null) expect(m.seen(child)).toBe(OLD);
    unpinUserPages(m.k, pins);
    checkInvariants(m.k);
  });
});

const READ_PINS = [
  ['pin_user_pages', pinUserPages, 0],
  ['pin_user_pages_fast', pinUserPagesFast, 0],
  ['pin_user_pages, long-term', pinUserPages, FOLL_LONGTERM],
  ['pin_user_pages_fast, long-term', pinUserPagesFast, FOLL_LONGTERM],
] as const;

describe.each(ANON)('%s: a read-only pin', (_name, make) => {
  describe.each(READ_PINS)('%s', (_call, how, flags) => {
    it.each(['of shared', 'of previously shared', 'of exclusive'])('%s pages', (state) => {
      const m = prepared(make);
      const child = state === 'of exclusive' ? null : m.fork();
      if (state === 'of previously shared') exitTask(m.k, child!);
      const pins = m.take(m.task, how, flags);
      m.store(m.task, NEW);
      expect(m.held(pins)).toBe(NEW);
      if (state === 'of shared') expect(m.seen(child!)).toBe(OLD);
      unpinUserPages(m.k, pins);
      checkInvariants(m.k);
    });
  });
});

describe.each(UNWRITTEN)('a private mapping of %s', (_name, make) => {
  it('has a copy of its own once it is written; the child does not see it', () => {
    const m = prepared(make);
    const child = m.fork();
    m.store(m.task, NEW);
    expect(m.seen(m.task)).toBe(NEW);
    expect(m.pages.map((vpn) => loadWord(m.k, child, vpn))).toEqual(m.pages.map(() => 0));
    checkInvariants(m.k);
  });

  it.each(READ_PINS.slice(2))('%s sees what is written later', (_call, how, flags) => {
    const m = prepared(make);
    const pins = m.take(m.task, how, flags);
    m.store(m.task, NEW);
    expect(m.held(pins)).toBe(NEW);
    unpinUserPages(m.k, pins);
    checkInvariants(m.k);
  });
});

describe('collapse', () => {
  it.each(['before fork', 'after fork', 'after fork of the lower half', 'of the upper half'])(
    '%s: the child sees the old data',
    (when) => {
      const m = prepared(inEntries);
      const isHalf = when.endsWith('half');
      const from = when.endsWith('lower half') ? HUGE / 2 : 0;
      if (when === 'before fork') m.call(madvise, 0, HUGE, MADV_COLLAPSE);
      if (isHalf) m.call(madvise, from, HUGE / 2, MADV_DONTFORK);
      const child = m.fork();
      if (isHalf) m.call(madvise, from, HUGE / 2, MADV_DOFORK);
      if (when !== 'before fork') m.call(madvise, 0, HUGE, MADV_COLLAPSE);
      m.store(m.task, NEW);
      const shared = m.pages.filter((_, n) => !isHalf || (from > 0 ? n < 2 : n === 2));
      expect(sameSalt(shared, (vpn) => loadWord(m.k, child, vpn))).toBe(OLD);
      expect(m.seen(m.task)).toBe(NEW);
      checkInvariants(m.k);
    },
  );
});
