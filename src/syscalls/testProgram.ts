/**
 * A program for tests: a task with one anonymous area of 16 pages on a machine of three nodes, the
 * common setup of the scenarios. N0 and N1: DRAM with CPUs, NORMAL; N2: no CPU, MOVABLE only.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { Kernel, PAGE_ZERO, pageAt, plainMachine, storeWord, type Task } from '../mm/index.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { mmap } from './mmap.ts';
import { movePages } from './movePages.ts';
import { UserAddresses, UserInts, type UserNodeMask } from './userMemory.ts';

/** Status slots before a call. */
export const UNTOUCHED = -99999;

export const PAGES = 16;
const SECTION_PAGES = 32768;

export function threeNodes(
  version?: Kernel['spec']['kernel'],
  swapPages = 4096,
  capabilities?: Kernel['spec']['nodes'][number]['capabilities'],
): Kernel {
  const dram = { zone: ZONE_NORMAL, pages: SECTION_PAGES } as const;
  const cxl = { zone: ZONE_MOVABLE, pages: SECTION_PAGES } as const;
  const nodes = [
    { cpus: [0, 1], zones: [dram] },
    { cpus: [2, 3], zones: [dram] },
    { cpus: [], zones: [cxl], ...(capabilities === undefined ? {} : { capabilities }) },
  ];
  const distance = [
    [10, 20, 30],
    [20, 10, 30],
    [30, 30, 10],
  ];
  const spec = plainMachine(nodes, { startPfn: SECTION_PAGES, distance });
  const kernel = version ?? spec.kernel;
  const swap = { pages: swapPages, readNs: 0, writeNs: 0 };
  return new Kernel({ ...spec, kernel, swap }, { seed: 1, trackContent: true });
}

export class TestProgram {
  readonly k: Kernel;
  readonly task: Task;
  /** Address of the area in bytes. */
  readonly area: number;

  constructor(k: Kernel = threeNodes(), touched: number = PAGES) {
    this.k = k;
    this.task = k.spawn(null, 0);
    this.area = this.map(PAGES);
    this.write(0, touched);
  }

  /** A fresh private anonymous area. */
  map(pages: number, flags: number = MAP_PRIVATE | MAP_ANONYMOUS): number {
    const prot = PROT_READ | PROT_WRITE;
    return mmap(this.k, this.task, 0, pages * PAGE_SIZE, prot, flags, null, 0);
  }

  address(page: number): number {
    return this.area + page * PAGE_SIZE;
  }

  vpn(page: number): number {
    return this.address(page) / PAGE_SIZE;
  }

  /** Writes pages [from, to) of the area. */
  write(from: number, to: number, task: Task = this.task): void {
    for (let page = from; page < to; page++) {
      storeWord(this.k, task, this.vpn(page), wordOf(page));
    }
  }

  frame(page: number, task: Task = this.task): number {
    return pageAt(this.k, task.mm!, this.vpn(page));
  }

  /** Nodes of the area's pages as text: "0011..-z": '-' not present, 'z' the zero page. */
  where(task: Task = this.task, pages: number = PAGES): string {
    let text = '';
    for (let page = 0; page < pages; page++) {
      const frame = this.frame(page, task);
      if (frame === PAGE_ZERO) text += 'z';
      else text += frame < 0 ? '-' : String(this.k.pm.nidOf(frame));
    }
    return text;
  }

  /** move_pages of pages of the area by `caller` in process `pid`; `nodes` null asks. */
  move(
    pages: readonly number[],
    nodes: readonly number[] | null,
    flags = 2,
    caller: Task = this.task,
    pid = 0,
  ): { ret: number; status: number[] } {
    const addresses = new UserAddresses(Float64Array.from(pages, (page) => this.address(page)));
    const slots = new Int32Array(pages.length).fill(UNTOUCHED);
    const targets = nodes === null ? null : new UserInts(Int32Array.from(nodes));
    const status = new UserInts(slots);
    const { k } = this;
    const ret = movePages(k, caller, pid, pages.length, addresses, targets, status, flags);
    return { ret, status: [...slots] };
  }
}

/** What `write` makes the content of a page. */
export function wordOf(page: number): number {
  return (1000 + page) >>> 0;
}

/** A node mask argument with room for all nodes. */
export function mask(...bits: number[]): UserNodeMask {
  return { bits, maxnode: 65 };
}
