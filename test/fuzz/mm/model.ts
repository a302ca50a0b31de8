/**
 * What programs may rely on, as plain maps: which pages a process has mapped, with which rights,
 * and which word each holds; what every file contains. It knows nothing of frames, folios, nodes,
 * swap or migration, so whatever the kernel does underneath must not change what is said here.
 *
 * Copy-on-write is by value: fork copies the map. A private file page without a value of its own
 * shows the file's. A page given MADV_FREE may show its value or zero until it is written.
 */

/** `peer`: memory in a PCI BAR; the other two are DAX. */
export type ModelFileKind = 'cache' | 'fsdax' | 'devdax' | 'peer';

/** A file's content; shared anonymous memory has one of its own. */
export class ModelFile {
  readonly words: Map<number, number> = new Map();
  size: number;
  readonly kind: ModelFileKind;

  constructor(size: number, kind: ModelFileKind = 'cache') {
    this.size = size;
    this.kind = kind;
  }

  /** mlock passes over the areas of devices (VM_DAX, VM_SPECIAL). */
  get isLockable(): boolean {
    return this.kind === 'cache';
  }

  wordAt(index: number): number {
    return this.words.get(index) ?? 0;
  }

  /** truncate(2): what lies behind the new end is gone, also from private copies. */
  truncate(size: number): void {
    this.size = size;
    for (const index of [...this.words.keys()]) if (index >= size) this.words.delete(index);
  }
}

/** One mapped page of a process. */
export interface ModelPage {
  prot: number;
  readonly shared: boolean;
  /** null: private anonymous memory. */
  readonly file: ModelFile | null;
  readonly index: number;
  /** Private value; null = zero, or the file's content. */
  word: number | null;
  /** MADV_FREE was given and no program has written since: a device's stores do not count. */
  lazy: boolean;
  locked: boolean;
  dontFork: boolean;
  wipeOnFork: boolean;
  /** Of peer memory: the entry is gone, and no fault brings it back (DM-90). */
  isGone: boolean;
  /** MADV_GUARD_INSTALL: every access is SIGSEGV. */
  isGuarded: boolean;
}

/** Whether the program may read, or write, the page: else SIGSEGV. */
export function isAllowed({ prot, isGuarded }: ModelPage, writes: boolean): boolean {
  return !isGuarded && (prot & (writes ? 2 : 1)) !== 0;
}

/** An access is SIGBUS: behind the end of the file, or what was there is gone. */
export function isOutOfReach({ file, index, isGone }: ModelPage): boolean {
  return isGone || (file !== null && index >= file.size);
}

/** mm_struct: threads of a process share it. */
export class ModelSpace {
  readonly pages: Map<number, ModelPage> = new Map();
  /** Ranges that were mapped at some time, for picking targets: [start, pages]. */
  readonly areas: [number, number][] = [];
  brkStart = 0;
  brk = 0;

  addArea(start: number, pages: number): void {
    this.areas.push([start, pages]);
    if (this.areas.length > AREAS_MAX) this.areas.shift();
  }

  unmap(start: number, end: number): void {
    for (let vpn = start; vpn < end; vpn++) this.pages.delete(vpn);
  }

  /** fork(2): the child's space. */
  fork(): ModelSpace {
    const child = new ModelSpace();
    child.brkStart = this.brkStart;
    child.brk = this.brk;
    for (const area of this.areas) child.areas.push([area[0], area[1]]);
    for (const [vpn, page] of this.pages) {
      if (page.dontFork) continue;
      const copy = { ...page, locked: false };
      if (page.wipeOnFork) {
        copy.word = null;
        copy.lazy = false;
        copy.isGuarded = false;
      }
      child.pages.set(vpn, copy);
    }
    return child;
  }
}

const AREAS_MAX = 12;

/** What a read of the page gives. A lazily freed page may also give zero. */
export function wordOf(page: ModelPage): number {
  if (page.shared) return page.file!.wordAt(page.index);
  if (page.word !== null) return page.word;
  return page.file === null ? 0 : page.file.wordAt(page.index);
}

/** A store that succeeded. */
export function store(page: ModelPage, word: number): void {
  if (page.shared) page.file!.words.set(page.index, word);
  else page.word = word;
  page.lazy = false;
}

/** A device's store: the CPU's entry does not know of it, so a lazily freed page stays one. */
export function storeByDevice(page: ModelPage, word: number): void {
  const isLazy = page.lazy;
  store(page, word);
  page.lazy = isLazy;
}

/** The private copies of file pages behind the end of a file that was truncated. */
export function dropPrivateBehind(space: ModelSpace, file: ModelFile): void {
  for (const [vpn, page] of space.pages) {
    if (page.file === file && page.index >= file.size) {
      space.pages.set(vpn, { ...page, word: null });
    }
  }
}
