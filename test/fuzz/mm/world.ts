/**
 * A modelled kernel and the naive model side by side, with what is under way between operations:
 * migrations that are taken apart, references and pins that drivers hold.
 */

import { FuzzAccelerators } from './accelerators.ts';
import { FuzzDevices } from './devices.ts';
import {
  __GFP_THISNODE,
  type Cpuset,
  exitTask,
  type FrameId,
  FsDax,
  GFP_HIGHUSER_MOVABLE,
  type Kernel,
  type MappedFile,
  MEM_OFFLINE,
  type MigrationOp,
  NR_FREE_PAGES,
  type OfflineOp,
  PG_HWPOISON,
  pageAt,
  putbackMovablePages,
  reapTask,
  type Task,
  unpinUserPages,
  writeBlockState,
} from './kernelDoor.ts';
import { bootKernel, DAX_FILES, FILES, type MachinePlan } from './machines.ts';
import { FuzzMappedDevices } from './mappedDevices.ts';
import { ModelFile, type ModelPage, ModelSpace } from './model.ts';
import type { RangePick } from './operations.ts';

export interface Process {
  readonly task: Task;
  readonly space: ModelSpace;
}

/** A migrate_pages call between two of its steps, with the folios it was given. */
export interface Underway {
  readonly op: MigrationOp;
  readonly list: FrameId[];
}

/** A reference or pin that a driver holds on a page. */
export interface Held {
  readonly page: FrameId;
  readonly pinned: boolean;
  /** It was pinned for writing: a device may store. */
  readonly stores: boolean;
  /** Where the page was mapped when it was taken; null = not to be followed. */
  readonly mapped: {
    readonly process: Process;
    readonly vpn: number;
    readonly model: ModelPage;
  } | null;
}

const BRK_START = 0x20000;
/** Behind the accelerators'. */
const DAX_PFN = 2 ** 23 + 2 ** 20;
/** One section. */
const DAX_PAGES = 32768;

export class World {
  readonly k: Kernel;
  readonly files: { readonly kernel: MappedFile; readonly model: ModelFile }[] = [];
  /** Files of shared anonymous memory too. */
  readonly modelOf: Map<MappedFile, ModelFile> = new Map();
  processes: Process[] = [];
  underway: Underway[] = [];
  held: Held[] = [];
  /** Persistent memory with files of its own, behind those of FILES. */
  dax: FsDax | null;
  readonly devices: FuzzDevices;
  readonly accelerators: FuzzAccelerators;
  readonly mappedDevices: FuzzMappedDevices;
  /** The root first. */
  cpusets: Cpuset[] = [];
  readonly blocks: readonly number[];
  /** Memory blocks on their way offline. */
  offlining: OfflineOp | null = null;
  /** Frames that may still be lost to soft offlining. */
  poisonsLeft = 4;
  readonly cpus: number[] = [];
  readonly #freeAtBoot: number;
  readonly #devicesGoFirst: boolean;
  #nextWord = 1;

  constructor(plan: MachinePlan) {
    this.k = bootKernel(plan);
    this.blocks = this.k.pm.memoryBlocks.numbers();
    for (const node of this.k.spec.nodes) this.cpus.push(...node.cpus);
    for (const file of FILES) {
      const kernel = this.k.newFile(file.kind, file.kind, file.pages);
      kernel.hugeAlways = file.huge;
      const model = new ModelFile(file.pages);
      this.files.push({ kernel, model });
      this.modelOf.set(kernel, model);
    }
    this.dax = plan.dax ? this.#probeDax() : null;
    this.#devicesGoFirst = plan.devicesFirst;
    this.devices = new FuzzDevices(this.k);
    this.accelerators = new FuzzAccelerators(this.k);
    this.mappedDevices = new FuzzMappedDevices(this.k);
    this.#freeAtBoot = this.#freePages();
    this.spawn(0);
  }

  #probeDax(): FsDax {
    const dax = new FsDax(this.k);
    const ret = dax.probe(0, DAX_PFN, DAX_PAGES);
    if (ret !== 0) throw new Error(`no room for a DAX device: ${ret}`);
    for (const pages of DAX_FILES) {
      const kernel = dax.create('dax', pages) as MappedFile;
      const model = new ModelFile(pages, 'fsdax');
      this.files.push({ kernel, model });
      this.modelOf.set(kernel, model);
    }
    return dax;
  }

  #freePages(): number {
    let pages = 0;
    for (const zone of this.k.pm.zones) pages += this.k.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
    return pages;
  }

  /** The nodes of a mask that the machine has. */
  nodesOf(mask: number): number[] {
    const { nodes } = this.k.pm;
    return nodes.map(({ nid }) => nid).filter((nid) => (mask & (1 << nid)) !== 0);
  }

  /** A word that no page holds yet. */
  newWord(): number {
    return this.#nextWord++;
  }

  spawn(cpu: number): void {
    const task = this.k.spawn(null, this.cpus[cpu % this.cpus.length]);
    const space = new ModelSpace();
    task.mm!.brkStart = BRK_START;
    task.mm!.brk = BRK_START;
    space.brkStart = BRK_START;
    space.brk = BRK_START;
    this.processes.push({ task, space });
  }

  process(pick: number): Process {
    return this.processes[pick % this.processes.length];
  }

  /** [start, end) of a pick in a process; areas may be gone or full of holes. */
  range(process: Process, pick: RangePick): [number, number] {
    const areas = process.space.areas;
    if (areas.length === 0) return [BRK_START, BRK_START + 1];
    const [start, pages] = areas[pick.area % areas.length];
    const from = start + (pick.at % pages);
    return [from, from + Math.min(pick.len, LEN_MAX)];
  }

  /** Takes one step of a migration under way, or all; puts back what stays when it is over. */
  stepMigration(which: number, finish: boolean): void {
    if (this.underway.length === 0) return;
    const one = this.underway[which % this.underway.length];
    if (finish) one.op.finish();
    else one.op.step();
    this.sweepMigrations();
  }

  /** Migrations that came to their end, also because somebody waited for them. */
  sweepMigrations(): void {
    this.underway = this.underway.filter((one) => {
      if (!one.op.isDone) return true;
      putbackMovablePages(this.k, one.list);
      return false;
    });
  }

  /** One direct reclaim of a node. */
  reclaim(nid: number): void {
    const hooks = this.k.pm.hooks;
    hooks.inReclaim = true;
    hooks.directReclaim(0, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, nid, -1);
    hooks.inReclaim = false;
  }

  put(held: Held): void {
    if (held.pinned) unpinUserPages(this.k, [held.page]);
    else this.k.putFolio(this.k.frames.headOf(held.page));
  }

  /** Whether a pin's page is still what its process has mapped there. */
  isAttached(held: Held): boolean {
    if (held.mapped === null) return false;
    const { process, vpn, model } = held.mapped;
    return process.task.mm !== null && process.space.pages.get(vpn) === model;
  }

  /** A signal ends the offlining under way. */
  giveUpOfflining(): void {
    if (this.offlining === null) return;
    this.offlining.signalPending = true;
    this.offlining.step();
    this.offlining = null;
  }

  frameAt(process: Process, vpn: number): FrameId {
    return process.task.mm === null ? -1 : pageAt(this.k, process.task.mm, vpn);
  }

  /** Everything ends: nothing may be left behind. Returns what was. */
  tearDown(): string[] {
    const { k } = this;
    this.giveUpOfflining();
    for (const one of this.underway) one.op.finish();
    this.sweepMigrations();
    for (const held of this.held) this.put(held);
    this.held = [];
    const last = this.processes.at(-1)?.task;
    const left: string[] = [];
    if (this.#devicesGoFirst && last !== undefined) {
      this.accelerators.removeAll(last);
      this.devices.releaseAll(last);
      left.push(...this.mappedDevices.removeAll());
    }
    for (const { task } of this.processes) {
      exitTask(k, task);
      reapTask(k, task);
    }
    this.processes = [];
    const removed = this.dax?.remove() ?? 0;
    if (removed !== 0) left.push(`DM-53: removing the DAX device returned ${removed}`);
    for (const file of this.files) {
      file.kernel.openCount = 0;
      k.dropFile(file.kernel);
    }
    k.hugetlb.resize(0, -1);
    k.lru.drainAll();
    // An unmapped page whose swap-out a reference stopped stays in the swap cache until reclaim.
    k.sysctl.demotion_enabled = false;
    for (let n = 0; n < 10 && k.swap.used > 0; n++) {
      for (const node of k.pm.nodes) this.reclaim(node.nid);
    }
    left.push(...this.mappedDevices.tearDown(), ...this.devices.tearDown());
    if (last !== undefined) left.push(...this.accelerators.tearDown(last));
    if (k.swap.used !== 0) left.push(`OV-25: ${k.swap.used} swap slots never freed`);
    if (k.deferredSplit.size !== 0) left.push('MC-12: folios left on the deferred split queue');
    if (k.inFlight.size !== 0) left.push('OV-51: migrations left in flight');
    const huge = k.hugeZeroHead >= 0 ? 512 : 0;
    const outOfUse = this.#putAllOnline();
    for (const { nid } of k.pm.nodes) k.nodeThreads.stop(nid);
    const lost = this.#freeAtBoot - this.#freePages() - huge - outOfUse;
    if (lost !== 0) left.push(`OV-58: ${lost} pages lost`);
    return left;
  }

  /** Every block that can be comes online again. Returns the pages that are out of use for good. */
  #putAllOnline(): number {
    const { k } = this;
    let lost = 0;
    for (const block of this.blocks) {
      writeBlockState(k, block, 'online');
      const start = k.pm.memoryBlocks.startFrame(block);
      const { blockPages } = k.pm.memoryBlocks;
      // A block with a poisoned page stays offline.
      const isOut = k.pm.memoryBlocks.state[block] === MEM_OFFLINE;
      for (let frame = start; frame < start + blockPages; frame++) {
        if (isOut || k.frames.has(frame, PG_HWPOISON)) lost++;
      }
    }
    return lost;
  }
}

const LEN_MAX = 1100;
