/**
 * The accelerators of a world, whose drivers decide by themselves: two with private memory, one
 * that brings large pages back whole and one that splits them, and one with coherent memory; and
 * the processes that have them open. Each has little memory, so that it must make room.
 */
import {
  type Accelerator,
  AcceleratorContext,
  type AcceleratorSpec,
  type BounceSpec,
  CoherentAccelerator,
  DEVICE_COST_DEFAULTS,
  type FrameId,
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  type Kernel,
  PrivateAccelerator,
  type Task,
} from './kernelDoor.ts';
import { CLIENTS } from './mappedDevices.ts';
import { mirrorStaleness, TAG_ATOMIC, TAG_READ, TAG_WRITE } from './mirrorCheck.ts';

/** Behind the test devices' (devices.ts). */
const COHERENT_PFN = 2 ** 23;
/** One section, of which the driver keeps all but these blocks to itself. */
const DEVICE_PAGES = 32768;
const BLOCKS_OPEN = 2;

const COMMON = { nid: 0, nrPages: DEVICE_PAGES, cost: DEVICE_COST_DEFAULTS };
const WHOLE: AcceleratorSpec = {
  ...COMMON,
  name: 'whole',
  placement: 'fault',
  rangePages: 16,
  counterThreshold: 0,
  splitsOnReturn: false,
};
const SPLITTING: AcceleratorSpec = {
  ...COMMON,
  name: 'splitting',
  placement: 'counter',
  rangePages: 512,
  counterThreshold: 3,
  splitsOnReturn: true,
};
const COHERENT: AcceleratorSpec = {
  ...COMMON,
  name: 'coherent',
  placement: 'hint',
  rangePages: 64,
  counterThreshold: 4,
  splitsOnReturn: false,
};
/** On the bus: how they reach memory of a P2PDMA provider, the last one not at all. */
const PLACES = { fault: CLIENTS[0], counter: CLIENTS[1], hint: CLIENTS[2], near: undefined };
/** What they do where it is switched on. */
const BOUNCES_WHOLE: BounceSpec = { splitAfter: 1, mergeAfter: 5 };
const BOUNCES_SPLITTING: BounceSpec = { mergeAfter: 8, shareAfter: 2, shareBy: 'exclusive' };

/** A copy of its own for each device: a saved state does not know what devices share. */
function specOf(k: Kernel, spec: AcceleratorSpec, bounces?: BounceSpec): AcceleratorSpec {
  const isBouncing = bounces !== undefined && k.hasExperimental('device_split_by_use');
  // Where they are apart on the bus, they could not use each other's memory.
  const place = k.hasExperimental('device_peer_ranges') ? {} : { place: PLACES[spec.placement] };
  return structuredClone({ ...spec, ...place, ...(isBouncing ? { bounces } : {}) });
}

const KINDS: readonly ((k: Kernel) => Accelerator)[] = [
  (k) => new PrivateAccelerator(k, specOf(k, WHOLE, BOUNCES_WHOLE)),
  (k) => new PrivateAccelerator(k, specOf(k, SPLITTING, BOUNCES_SPLITTING)),
  (k) => new CoherentAccelerator(k, specOf(k, COHERENT)),
];
export const NR_ACCELERATORS = KINDS.length;

/** A device, and the blocks that it never hands out. */
interface Fitted {
  readonly device: Accelerator;
  readonly kept: FrameId[];
}

export interface SavedAccelerators {
  readonly fitted: Map<number, Fitted>;
  readonly contexts: AcceleratorContext[];
}

export class FuzzAccelerators {
  #k: Kernel;
  /** By number of kind. */
  #fitted: Map<number, Fitted> = new Map();
  #contexts: AcceleratorContext[] = [];

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** What to save beside the kernel, to adopt with the restored one. */
  get saved(): SavedAccelerators {
    return { fitted: this.#fitted, contexts: this.#contexts };
  }

  adopt(k: Kernel, { fitted, contexts }: SavedAccelerators): void {
    this.#k = k;
    this.#fitted = fitted;
    this.#contexts = contexts;
  }

  /** A device of the kind; null when the machine has no room for one more. */
  #device(kind: number): Accelerator | null {
    const known = this.#fitted.get(kind);
    if (known !== undefined) return known.device;
    const device = KINDS[kind](this.#k);
    if (device.probe(device.isCoherent ? COHERENT_PFN : -1) < 0) return null;
    const kept: FrameId[] = [];
    while (device.pages.freeBlocks.length > BLOCKS_OPEN) kept.push(device.pages.take(true));
    this.#fitted.set(kind, { device, kept });
    return device;
  }

  /** The task's context on a device, opened when it is first asked for; null = none to be had. */
  context(task: Task, kind: number): AcceleratorContext | null {
    this.#dropDead();
    const device = this.#device(kind);
    if (device === null) return null;
    const known = this.#contexts.find((one) => one.mm === task.mm && one.device === device);
    if (known !== undefined) return known;
    const context = AcceleratorContext.open(device, task);
    if (typeof context === 'number') return null; // on its way out
    this.#contexts.push(context);
    return context;
  }

  /** The process closes the device; its pages stay there. */
  close(context: AcceleratorContext): void {
    context.close();
    this.#dropDead();
  }

  /** Contexts that are closed are forgotten, those of address spaces that are gone are closed. */
  #dropDead(): void {
    this.#contexts = this.#contexts.filter((context) => {
      const isAlive = this.#k.spaces[context.mm.id] === context.mm;
      if (!isAlive && context.isOpen) context.close();
      return isAlive && context.isOpen;
    });
  }

  /** DM-53: the device goes, in use or not. 0 or the errno. */
  remove(kind: number, task: Task): number {
    const fitted = this.#fitted.get(kind);
    if (fitted === undefined) return 0;
    const { device, kept } = fitted;
    // What is going hands out nothing more, so this frees no page for anybody.
    for (const head of kept.splice(0)) device.pages.give(head, HPAGE_PMD_ORDER);
    const ret = device.remove(task);
    if (ret === 0) this.#fitted.delete(kind);
    this.#dropDead();
    return ret;
  }

  /** All that can: some pages stay for want of memory, or because somebody holds them. */
  removeAll(task: Task): void {
    for (const kind of [...this.#fitted.keys()]) this.remove(kind, task);
  }

  /** DM-3: what a device's page table says of a page is what the CPU's says. */
  compare(wrong: string[]): void {
    this.#dropDead();
    for (const { mm, table, device, exclusive } of this.#contexts) {
      for (const [vpn, entry] of table) {
        const tag = exclusive.has(vpn) ? TAG_ATOMIC : entry % 2 === 1 ? TAG_WRITE : TAG_READ;
        const stale = mirrorStaleness(this.#k, mm, vpn, Math.floor(entry / 2), tag);
        if (stale === '') continue;
        wrong.push(`DM-3: ${device.spec.name}, page ${vpn} of mm ${mm.id}: ${stale}`);
      }
    }
    for (const { device, kept } of this.#fitted.values()) this.#countPages(device, kept, wrong);
  }

  /** A page is the driver's or somebody's; those in use are on its LRU. */
  #countPages(device: Accelerator, kept: readonly FrameId[], wrong: string[]): void {
    const live = this.#k.devices.livePages(device.pagemap);
    const free = device.pages.nrFree + kept.length * HPAGE_PMD_NR;
    if (live + free !== device.spec.nrPages) {
      wrong.push(`DM-50: ${device.spec.name}: ${live} pages live, ${free} free`);
    }
    let listed = 0;
    for (const head of device.pages.used) listed += this.#k.folios.nrPages(head);
    if (listed !== live) {
      wrong.push(`D14: ${device.spec.name}: ${listed} pages on its LRU, ${live} live`);
    }
  }

  /** Preconditions: all processes have ended; `task` is one of them. What is left, as sentences. */
  tearDown(task: Task): string[] {
    const left: string[] = [];
    this.#dropDead();
    if (this.#contexts.length > 0) left.push('DM-53: a context outlives its address space');
    for (const [kind, { device }] of [...this.#fitted]) {
      const live = this.#k.devices.livePages(device.pagemap);
      if (live !== 0) left.push(`DM-50: ${live} pages of ${device.spec.name} never freed`);
      const ret = this.remove(kind, task);
      if (ret !== 0) left.push(`DM-53: removing ${device.spec.name} returned ${ret}`);
    }
    return left;
  }
}
