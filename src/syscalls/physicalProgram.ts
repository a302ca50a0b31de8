/** What tests of physically addressed calls need: addresses of pages, of a huge page, a caller. */
import { PAGE_SIZE } from '../base/units.ts';
import { accessPage, forkTask, type Kernel, type Task } from '../mm/index.ts';
import { MADV_HUGEPAGE } from '../uapi/mman.ts';
import { madvise } from './madvise.ts';
import { movePhysPages, type PhysicalProfile, RFC_V3 } from './movePhysPages.ts';
import {
  GENERATION_ANY,
  movePhysPages2,
  ORDER_UNKNOWN,
  PHYSICAL_CALL_DEFAULTS,
  type PhysicalCallOptions,
  PhysicalMoveCounts,
} from './movePhysPages2.ts';
import { TestProgram, UNTOUCHED } from './testProgram.ts';
import { UserAddresses, UserInts } from './userMemory.ts';

/** An entry of move_phys_pages2; what is left out is 0, unknown, node 1. */
export interface Entry {
  readonly address: number;
  readonly gen?: number;
  readonly order?: number;
  readonly flags?: number;
  readonly node?: number;
}

export class PhysicalProgram extends TestProgram {
  /** A daemon with all capabilities that owns none of the pages. */
  readonly daemon: Task;
  readonly counts = new PhysicalMoveCounts();

  constructor(k?: Kernel, touched?: number) {
    super(k, touched);
    this.daemon = this.k.spawn(null, 0);
  }

  /** Physical byte address of a page of the area. */
  physical(page: number, task: Task = this.task): number {
    return this.physicalOf(this.frame(page, task));
  }

  physicalOf(frame: number): number {
    return this.k.frames.pfnOf(frame) * PAGE_SIZE;
  }

  /** A sample of a page of the area as it is now. */
  sample(page: number): Entry {
    const frame = this.frame(page);
    return { address: this.physicalOf(frame), gen: this.k.frames.generation[frame] };
  }

  /** First page, counted from the area's start, of a 2 MiB page. */
  hugePage(): number {
    const address = this.map(512);
    madvise(this.k, this.task, address, 512 * PAGE_SIZE, MADV_HUGEPAGE);
    accessPage(this.k, this.task, address / PAGE_SIZE, true);
    return (address - this.area) / PAGE_SIZE;
  }

  child(): Task {
    const child = forkTask(this.k, this.task);
    if (typeof child === 'number') throw new Error('fork failed');
    return child;
  }

  /** move_phys_pages as posted; `nodes` null asks. */
  rfc(
    addresses: readonly number[],
    nodes: readonly number[] | null,
    flags = 2,
    caller: Task = this.daemon,
    profile: PhysicalProfile = RFC_V3,
  ): { ret: number; status: number[] } {
    const slots = new Int32Array(addresses.length).fill(UNTOUCHED);
    const pages = new UserAddresses(Float64Array.from(addresses));
    const targets = nodes === null ? null : new UserInts(Int32Array.from(nodes));
    const status = new UserInts(slots);
    const { k } = this;
    const ret = movePhysPages(k, caller, profile, slots.length, pages, targets, status, flags);
    return { ret, status: [...slots] };
  }

  /** move_phys_pages2. */
  ext(
    entries: readonly Entry[],
    flags = 2,
    options: Partial<PhysicalCallOptions> = {},
    caller: Task = this.daemon,
  ): { ret: number; status: number[] } {
    const status = new Int32Array(entries.length).fill(UNTOUCHED);
    const columns = {
      count: entries.length,
      address: Float64Array.from(entries, (e) => e.address),
      generation: Uint32Array.from(entries, (e) => e.gen ?? GENERATION_ANY),
      order: Uint8Array.from(entries, (e) => e.order ?? ORDER_UNKNOWN),
      flags: Uint8Array.from(entries, (e) => e.flags ?? 0),
      node: Int32Array.from(entries, (e) => e.node ?? 1),
    };
    const all = { ...PHYSICAL_CALL_DEFAULTS, ...options };
    const ret = movePhysPages2(this.k, caller, columns, status, flags, all, this.counts);
    return { ret, status: [...status] };
  }
}
