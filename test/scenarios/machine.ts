/**
 * The machines of the scenarios and the hands that act on them: programs through system calls,
 * everybody else through what the kernel's folder offers to drivers.
 */
import { PAGE_SIZE } from '../../src/base/units.ts';
import {
  allocPages,
  freeCount,
  Kernel,
  type PlainNode,
  pageAt,
  pinUserPages,
  plainMachine,
  storeWord,
  type Task,
} from '../../src/mm/index.ts';
import { mmap } from '../../src/syscalls/index.ts';
import {
  __GFP_HIGHMEM,
  __GFP_MEMALLOC,
  __GFP_MOVABLE,
  __GFP_NOWARN,
  __GFP_THISNODE,
} from '../../src/uapi/gfp.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../../src/uapi/gup.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../src/uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../../src/uapi/zone.ts';

export const LONG = FOLL_LONGTERM;
export const LONG_WRITE = FOLL_LONGTERM | FOLL_WRITE;
export const RW = PROT_READ | PROT_WRITE;
export const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;

/** 128 MiB. */
export const SECTION = 32768;

export function boot(nodes: readonly PlainNode[], swapPages = 4096): Kernel {
  const spec = plainMachine(nodes, { startPfn: SECTION });
  const swap = { pages: swapPages, readNs: 0, writeNs: 0 };
  return new Kernel({ ...spec, swap }, { seed: 1, trackContent: true });
}

/** N0: a CPU, NORMAL and MOVABLE of `pages` each. N1: MOVABLE only, if `far` pages. */
export function movableMachine(pages = SECTION, far = 0, swapPages = 4096): Kernel {
  const zones = [
    { zone: ZONE_NORMAL, pages },
    { zone: ZONE_MOVABLE, pages },
  ];
  const slow = { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: far }] };
  return boot([{ cpus: [0], zones }, ...(far > 0 ? [slow] : [])], swapPages);
}

/** A process with one area. */
export class Program {
  readonly k: Kernel;
  readonly task: Task;
  readonly area: number;

  constructor(k: Kernel, pages = 16, touched = pages, flags: number = PRIVATE) {
    this.k = k;
    this.task = k.spawn(null, 0);
    this.area = this.map(pages, flags);
    for (let page = 0; page < touched; page++) storeWord(k, this.task, this.vpn(page), 100 + page);
  }

  map(pages: number, flags: number = PRIVATE): number {
    const address = mmap(this.k, this.task, 0, pages * PAGE_SIZE, RW, flags, null, 0);
    if (address < 0) throw new Error(`mmap returned ${address}`);
    return address;
  }

  vpn(page: number): number {
    return this.area / PAGE_SIZE + page;
  }

  frame(page: number): number {
    return pageAt(this.k, this.task.mm!, this.vpn(page));
  }

  /** Node and zone of pages: "0N 0M 1M". */
  where(pages: number): string {
    const names = Array.from({ length: pages }, (_, page) => {
      const frame = this.frame(page);
      if (frame < 0) return '-';
      const zone = this.k.pm.zoneOf(frame);
      return `${zone.nid}${zone.type === ZONE_MOVABLE ? 'M' : 'N'}`;
    });
    return names.join(' ');
  }

  pin(page: number, nr: number, flags: number = LONG_WRITE, out: number[] = []): number {
    return pinUserPages(this.k, this.task, this.vpn(page), nr, flags, out);
  }

  pincount(page: number): boolean {
    return this.k.folios.maybeDmaPinned(this.k.frames.headOf(this.frame(page)));
  }
}

export function event(k: Kernel, name: string): number {
  const value = k.vmstat.snapshot().get(name);
  if (value === undefined) throw new Error(`no counter ${name}`);
  return value;
}

/** Unmovable memory of the kernel in one zone, until `left` of its pages are free. */
export function kernelTakes(k: Kernel, zoneIndex: number, left: number): number[] {
  const zone = k.pm.zones[zoneIndex];
  const gfp = __GFP_THISNODE | __GFP_MEMALLOC | __GFP_NOWARN;
  const taken: number[] = [];
  while (freeCount(k.pm, zone) > left) taken.push(allocPages(k.pm, 0, gfp, zone.nid, -1));
  return taken;
}

/** User memory with the movable zone in reach, until `left` pages of a zone are free. */
export function movablesTake(k: Kernel, zoneIndex: number, left: number): number[] {
  const zone = k.pm.zones[zoneIndex];
  const gfp = __GFP_THISNODE | __GFP_MEMALLOC | __GFP_NOWARN | __GFP_MOVABLE | __GFP_HIGHMEM;
  const taken: number[] = [];
  while (freeCount(k.pm, zone) > left) taken.push(allocPages(k.pm, 0, gfp, zone.nid, -1));
  return taken;
}
