/**
 * A program for tests: one task that maps, stores and loads, and the questions tests ask about
 * where its pages are. Every store goes through a fault, as on a CPU.
 */
import type { FrameId, Nid, Vpn } from '../base/units.ts';
import type { ExperimentalFeature, KernelVersion } from '../hw/index.ts';
import { __GFP_RECLAIM, __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, type MigrateMode, MR_SYSCALL } from '../uapi/migrate.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { accessPage, FAULT_ERROR } from './fault.ts';
import { allocFolio } from './folioLifecycle.ts';
import { forkTask } from './fork.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { MigrationOp } from './migrate.ts';
import { mmapRegion } from './mmap.ts';
import { pageAt } from './pageWalk.ts';
import { type PlainNode, plainMachine } from './plainMachine.ts';
import type { Task } from './task.ts';
import { loadWord, storeWord } from './userCopy.ts';

export interface MapOptions {
  readonly prot?: number;
  readonly file?: MappedFile;
  readonly shared?: boolean;
  readonly pgoff?: number;
  readonly flags?: number;
  readonly addr?: Vpn;
}

/** A kernel that keeps page contents, on nodes given by their zones. */
export function bootNodes(
  nodes: readonly PlainNode[],
  options: {
    swapPages?: number;
    sysctl?: Parameters<typeof plainMachine>[1];
    memoryBlockPages?: number;
    kernel?: KernelVersion;
    deviceSections?: number;
    experimental?: readonly ExperimentalFeature[];
  } = {},
): Kernel {
  const spec = plainMachine(nodes, { startPfn: 32768, ...options.sysctl });
  const swap = { pages: options.swapPages ?? 0, readNs: 1000, writeNs: 1000 };
  const withTiers = spec.nodes.map((node) =>
    node.cpus.length > 0 ? node : { ...node, abstractDistance: 2880 },
  );
  const blocks =
    options.memoryBlockPages === undefined ? {} : { memoryBlockPages: options.memoryBlockPages };
  const kernel = options.kernel ?? spec.kernel;
  const { experimental = [] } = options;
  const machine = { ...spec, kernel, experimental, nodes: withTiers, swap, ...blocks };
  const { deviceSections = 0 } = options;
  return new Kernel(machine, { seed: 1, trackContent: true, deviceSections });
}

export class TestProgram {
  readonly k: Kernel;
  readonly task: Task;

  constructor(k: Kernel, task: Task = k.spawn(null, 0)) {
    this.k = k;
    this.task = task;
  }

  map(pages: number, options: MapOptions = {}): Vpn {
    const start = mmapRegion(this.k, this.task.mm!, {
      addr: options.addr ?? 0,
      pages,
      prot: options.prot ?? PROT_READ | PROT_WRITE,
      flags:
        (options.shared ? MAP_SHARED : MAP_PRIVATE) |
        (options.file === undefined ? MAP_ANONYMOUS : 0) |
        (options.flags ?? 0),
      file: options.file ?? null,
      pgoff: options.pgoff ?? 0,
    });
    if (start < 0) throw new Error(`mmap returned ${start}`);
    return start;
  }

  /** Maps anonymous memory and stores 1, 2, 3 ... into its pages. */
  mapWritten(pages: number, options: MapOptions = {}): Vpn {
    const start = this.map(pages, options);
    for (let i = 0; i < pages; i++) this.store(start + i, i + 1);
    return start;
  }

  store(vpn: Vpn, word: number): number {
    const outcome = storeWord(this.k, this.task, vpn, word);
    if ((outcome & FAULT_ERROR) !== 0) throw new Error(`store to ${vpn}: outcome ${outcome}`);
    return outcome;
  }

  load(vpn: Vpn): number {
    return loadWord(this.k, this.task, vpn);
  }

  access(vpn: Vpn, write: boolean): number {
    return accessPage(this.k, this.task, vpn, write);
  }

  fork(): TestProgram {
    const child = forkTask(this.k, this.task);
    if (typeof child === 'number') throw new Error(`fork returned ${child}`);
    return new TestProgram(this.k, child);
  }

  /** Frame of the page (PAGE_* if none). */
  frame(vpn: Vpn): FrameId {
    return pageAt(this.k, this.task.mm!, vpn);
  }

  head(vpn: Vpn): FrameId {
    return this.k.frames.headOf(this.frame(vpn));
  }

  nid(vpn: Vpn): Nid {
    return this.k.pm.nidOf(this.frame(vpn));
  }

  /** Word and byte of the page table entry (of the PMD leaf, if one covers the page). */
  entry(vpn: Vpn): { word: number; byte: number } {
    const mm = this.task.mm!;
    const slot = mm.slotOf(vpn);
    if (mm.pmd[slot] !== 0) return { word: mm.pmd[slot], byte: mm.pmdByte[slot] };
    const i = mm.pteIndex(vpn);
    return { word: this.k.ptes.words[i], byte: this.k.ptes.bytes[i] };
  }

  has(vpn: Vpn, flag: number): boolean {
    return this.k.frames.has(this.head(vpn), flag);
  }

  refs(vpn: Vpn): number {
    return this.k.frames.refcount[this.head(vpn)];
  }
}

/** Isolates the folios of pages [start, start + n) of a program. */
export function isolate(p: TestProgram, start: Vpn, n: number): FrameId[] {
  const list: FrameId[] = [];
  p.k.lru.drainAll();
  for (let i = 0; i < n; i++)
    if (p.frame(start + i) >= 0) isolateFolio(p.k, p.head(start + i), list);
  return list;
}

/** A migration of isolated folios to `nid` that has not begun. */
export function migration(
  k: Kernel,
  list: FrameId[],
  nid: Nid,
  mode: MigrateMode = MIGRATE_SYNC,
  reason: number = MR_SYSCALL,
): MigrationOp {
  const to = { nid, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  return new MigrationOp(k, list, to, mode, reason);
}

/** Migrates pages at once; leftovers are put back. Returns what migrate_pages returned. */
export function migrate(
  p: TestProgram,
  start: Vpn,
  n: number,
  nid: Nid,
  mode: MigrateMode = MIGRATE_SYNC,
  reason: number = MR_SYSCALL,
): number {
  const list = isolate(p, start, n);
  const op = migration(p.k, list, nid, mode, reason);
  op.finish();
  putbackMovablePages(p.k, list);
  return op.result;
}

/** A counter by its name in /proc/vmstat, summed over zones or nodes. */
export function vmstat(k: Kernel, name: string): number {
  const value = k.vmstat.snapshot().get(name);
  if (value === undefined) throw new Error(`no counter ${name}`);
  return value;
}

const FILL_GFP = (GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) | __GFP_THISNODE;

/** Takes a node's memory until `left` pages can still be had. Returns the frames taken. */
export function fillNode(k: Kernel, nid: Nid, left: number): FrameId[] {
  const taken: FrameId[] = [];
  for (;;) {
    const head = allocFolio(k, 0, FILL_GFP, nid, 1 << nid);
    if (head < 0) break;
    taken.push(head);
  }
  for (let n = 0; n < left; n++) k.putFolio(taken.pop()!);
  return taken;
}

/** Leaves half of a node's memory free, but no two frames beside each other. */
export function fragmentNode(k: Kernel, nid: Nid): FrameId[] {
  const taken = fillNode(k, nid, 0);
  const kept: FrameId[] = [];
  for (const frame of taken) {
    if (frame % 2 === 0) k.putFolio(frame);
    else kept.push(frame);
  }
  return kept;
}
