/**
 * The modelled kernel's state in one place: physical memory, files, swap, tasks, settings. The
 * operations on it are functions in the other files of this folder, named after the kernel
 * functions they model; syscalls/ and drivers are the doors for programs and devices.
 *
 * Time is an argument: whoever drives the kernel sets `nowNs` before each operation.
 */

import { assert } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import type { FrameId, Nanoseconds, Nid } from '../base/units.ts';
import {
  abstractDistance,
  autoInterleaveWeights,
  type ExperimentalFeature,
  interleaveWeights,
  type KernelProfile,
  kernelProfile,
  type MachineSpec,
  SYSCTL_DEFAULTS,
  type SysctlSpec,
} from '../hw/index.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { NR_MLOCK, NR_PAGETABLE, NR_WRITEBACK, vmEvent } from '../uapi/vmstat.ts';
import { AddressSpace } from './addressSpace.ts';
import { BufferHeads } from './bufferHeads.ts';
import { type CmaArea, cmaAreasOf } from './cma.ts';
import { CompactionState } from './compactionState.ts';
import { type Cpuset, rootCpuset } from './cpuset.ts';
import { FailureLog } from './failureLog.ts';
import { Folios } from './folio.ts';
import { releaseFolio } from './folioLifecycle.ts';
import {
  type FrameTable,
  PG_MLOCKED,
  PG_RESERVED,
  PG_WRITEBACK,
  PGTY_TABLE,
} from './frameTable.ts';
import { dropHugetlbCache } from './hugetlb.ts';
import { HugetlbPool } from './hugetlbPool.ts';
import { type Damon, newDamon } from './kdamond.ts';
import { KernelReclaim } from './kernelReclaim.ts';
import { KernelTrace } from './kernelTrace.ts';
import { Khugepaged } from './khugepaged.ts';
import { Ksm } from './ksm.ts';
import { Lru } from './lru.ts';
import { type FileKind, MappedFile } from './mappedFile.ts';
import type { MemoryNotifier } from './memoryNotifier.ts';
import { MemoryTiers } from './memoryTiers.ts';
import { DeviceMemory } from './memremap.ts';
import { MovableOps } from './movableOps.ts';
import { NodeThreads } from './nodeThreads.ts';
import { PromotionState } from './numaFault.ts';
import type { OfflineOp } from './offlinePages.ts';
import { HotplugSettings } from './onlinePages.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import type { PageHolder } from './pageHolders.ts';
import { PteTables } from './pageTable.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { RmapScratch } from './rmap.ts';
import { ShadowPages } from './shadowPages.ts';
import { SwapArea } from './swap.ts';
import { Task } from './task.ts';
import { bootThpSettings, type ThpEnabled, type ThpSetting } from './thpSettings.ts';
import { setDemoteMarks } from './tpp.ts';
import { truncateFile } from './truncate.ts';
import { AnonVma } from './vma.ts';
import type { VmStat } from './vmstat.ts';

export interface KernelOptions {
  readonly seed: number;
  /** Keep one word of content per page: needed to check that no data is lost. */
  readonly trackContent: boolean;
  /** Sections (128 MiB) of device memory there is room for; default none. */
  readonly deviceSections?: number;
}

/** Settings the kernel reads at run time; written by sysctl and sysfs files. */
export type Sysctl = { -readonly [K in keyof SysctlSpec]: SysctlSpec[K] } & {
  /** mTHP orders enabled as always and as madvise, bit per order (OV-31b). */
  mthpAlways: number;
  mthpMadvise: number;
  /** What the sizes follow that inherit, and the setting of each order (thpSettings.ts). */
  thpForAll: ThpEnabled;
  readonly thpOfOrder: ThpSetting[];
};

export class Kernel {
  readonly spec: MachineSpec;
  readonly pm: PhysicalMemory;
  readonly frames: FrameTable;
  readonly folios: Folios;
  readonly vmstat: VmStat;
  readonly ptes: PteTables;
  readonly lru: Lru;
  readonly tiers: MemoryTiers;
  /** Memory of devices that drivers registered (DM-52). */
  readonly devices: DeviceMemory = new DeviceMemory();
  readonly swap: SwapArea;
  readonly sysctl: Sysctl;
  /** Merged pages (OV-31h). */
  readonly ksm: Ksm;
  readonly hugetlb: HugetlbPool = new HugetlbPool(this);
  /** Drivers whose pages can be migrated (MC-70). */
  readonly movableOps: MovableOps = new MovableOps();
  readonly khugepaged: Khugepaged = new Khugepaged();
  /** Nomad's; empty unless a policy migrates by transactions. */
  readonly shadows: ShadowPages = new ShadowPages(this);
  readonly buffers: BufferHeads = new BufferHeads();
  readonly rmap: RmapScratch = new RmapScratch();
  readonly failures: FailureLog = new FailureLog();
  /** Asked before memory goes offline, told when it has. */
  readonly memoryNotifiers: MemoryNotifier[] = [];
  /** Offlinings that are under way. */
  readonly offlining: Set<OfflineOp> = new Set();
  readonly compaction: CompactionState;
  readonly cma: readonly CmaArea[];
  readonly hotplug: HotplugSettings = new HotplugSettings();
  readonly nodeThreads: NodeThreads = new NodeThreads(this);
  /** Tracepoints; nobody listens by default. */
  readonly trace: KernelTrace = new KernelTrace(this);
  readonly random: RandomStream;
  /** The cpuset of all tasks that are in none of their own. */
  topCpuset: Cpuset;
  readonly tasks: Map<number, Task> = new Map();
  /** By id; index 0 unused. */
  readonly files: (MappedFile | null)[] = [null];
  readonly anonVmas: (AnonVma | null)[] = [null];
  readonly spaces: (AddressSpace | null)[] = [null];
  /** Large anonymous folios that are partly unmapped, oldest first (deferred split queue). */
  readonly deferredSplit: Set<FrameId> = new Set();
  /** Source frames of migrations between two steps -> what holds them and can end it (MC-90). */
  readonly inFlight: Map<FrameId, { finish(): void }> = new Map();
  /** Who holds pages besides page tables, lists and caches, by id: for answers to people. */
  readonly holders: Map<number, PageHolder> = new Map();
  nextHolderId = 1;
  /** Weighted interleave weights by node, 1..255. */
  readonly interleaveWeights: Uint8Array;
  interleaveAuto: boolean;
  /** The shared zero page and, once needed, the huge zero folio's head. */
  readonly zeroFrame: FrameId;
  hugeZeroHead = -1;
  /** Monitoring of accesses and what is done about them. */
  readonly damon: Damon;
  /** What decides promotion by hint faults, per fast node (TI-24..TI-26). */
  readonly promotion: PromotionState = new PromotionState();
  /**
   * Called for every folio that migrated, before its source is freed: what traffic it made and
   * where it came from is the caller's to account. Nobody listens by default.
   */
  onMigrated: (src: FrameId, dst: FrameId, nrPages: number, reason: number) => void = () => {};
  /**
   * Long-term pins stay in ZONE_MOVABLE, as before Linux 5.13 ("prohibit pinning pages in
   * ZONE_MOVABLE"). Off in every kernel profile: the old behaviour is there to compare with.
   */
  pinsStayInMovable = false;
  /** Frames with uncorrectable errors, out of use for good (num_poisoned_pages). */
  poisonedPages = 0;
  /**
   * A task that spins lets others run: migrations between two steps end here. False: nobody else
   * is there, and the task would spin for ever. Whoever runs tasks side by side sets this.
   */
  letOthersRun: () => boolean = () => {
    const holders = new Set(this.inFlight.values());
    for (const op of holders) op.finish();
    return holders.size > 0;
  };
  /** PM-25: what happens when an allocation that may invoke the OOM killer finds nothing. */
  oom: 'fail' | 'kill' = 'fail';
  /** Whose fault or pin is going on, or was the latest. */
  currentMm: AddressSpace | null = null;
  nowNs: Nanoseconds = 0;
  /** Nodes whose kswapd was woken and has not yet finished. */
  kswapdWoken = 0;
  #nextPid = 100;
  readonly #freeAnonVmas: number[] = [];
  readonly #freeSpaces: number[] = [];

  /** Private fields, for saved states (src/state). */
  static privateFields(k: Kernel): object {
    return {
      get nextPid() {
        return k.#nextPid;
      },
      set nextPid(value) {
        k.#nextPid = value;
      },
      freeAnonVmas: k.#freeAnonVmas,
      freeSpaces: k.#freeSpaces,
    };
  }

  constructor(spec: MachineSpec, options: KernelOptions) {
    this.spec = spec;
    this.pm = new PhysicalMemory(spec, options);
    this.frames = this.pm.frames;
    this.vmstat = this.pm.vmstat;
    this.ksm = new Ksm(this.profile.ksmSmartScan);
    this.folios = new Folios(this.frames, this.profile.sharedByMmIds);
    this.ptes = new PteTables(Math.ceil((this.frames.nrFrames / 512) * 1.25) + 1024);
    this.swap = new SwapArea(spec.swap.pages, options.trackContent);
    this.random = new RandomStream(options.seed, 'mm');
    this.damon = newDamon(options.seed);
    const settings = { ...SYSCTL_DEFAULTS, ...spec.sysctl };
    this.sysctl = {
      ...settings,
      mthpAlways: 0,
      mthpMadvise: 0,
      thpForAll: settings.thp_enabled,
      thpOfOrder: bootThpSettings(),
    };
    let nrCpus = 1;
    for (const node of spec.nodes) for (const cpu of node.cpus) nrCpus = Math.max(nrCpus, cpu + 1);
    this.lru = new Lru(this.pm, this.folios, nrCpus);
    this.lru.putFolio = (head) => this.putFolio(head);
    this.lru.mappingUnevictable = (head) => {
      const file = this.folios.hasFileMapping(head)
        ? this.files[this.folios.mappingId(head)]
        : null;
      return file?.traits.unevictable === true;
    };
    this.compaction = new CompactionState(this.pm);
    this.cma = cmaAreasOf(spec);
    this.topCpuset = rootCpuset(this, false);
    this.tiers = new MemoryTiers(this.pm, Array.from(abstractDistance(spec)));
    setDemoteMarks(this);
    this.interleaveWeights = new Uint8Array(32).fill(1);
    this.interleaveAuto = spec.interleaveWeights === undefined;
    this.interleaveWeights.set(interleaveWeights(spec).subarray(0, 32));
    this.zeroFrame = allocPages(this.pm, 0, GFP_KERNEL, this.firstCpuNode(), -1);
    assert(this.zeroFrame >= 0, 'a machine has room for the zero page');
    this.frames.flags[this.zeroFrame] |= PG_RESERVED;
    this.pm.hooks = new KernelReclaim(this);
    const { physicalAddressBits } = spec;
    if (physicalAddressBits !== undefined) this.devices.limitPhysicalMap(physicalAddressBits);
  }

  /** What the modelled version of Linux does. */
  get profile(): KernelProfile {
    return kernelProfile(this.spec.kernel);
  }

  /** Whether a feature that Linux does not have is switched on. */
  hasExperimental(feature: ExperimentalFeature): boolean {
    return this.spec.experimental?.includes(feature) === true;
  }

  firstCpuNode(): number {
    for (const node of this.spec.nodes) if (node.cpus.length > 0) return node.nid;
    return this.spec.nodes[0].nid;
  }

  /** Drops one reference; frees the folio with the last one. */
  putFolio(head: FrameId): void {
    const left = --this.frames.refcount[head];
    if (left > 0) return;
    assert(left === 0, 'reference count drops below zero, frame', head);
    releaseFolio(this, head);
  }

  putFolioRefs(head: FrameId, n: number): void {
    if (n === 0) return;
    this.frames.refcount[head] -= n;
    if (this.frames.refcount[head] > 0) return;
    assert(this.frames.refcount[head] === 0, 'reference count drops below zero, frame', head);
    releaseFolio(this, head);
  }

  /** A process with an empty address space, running on `cpu`. */
  spawn(parent: Task | null, cpu: number): Task {
    const pid = this.#nextPid++;
    const task = new Task(pid, pid, this.newAddressSpace(), parent?.memsAllowed ?? -1);
    task.parent = parent;
    this.placeTask(task, cpu);
    this.tasks.set(pid, task);
    return task;
  }

  /** Adds a task made by fork or clone; gives it the next pid. */
  addTask(parent: Task, mm: AddressSpace | null, sameProcess: boolean): Task {
    const pid = this.#nextPid++;
    const task = new Task(pid, sameProcess ? parent.tgid : pid, mm, parent.memsAllowed);
    task.parent = parent;
    task.uid = parent.uid;
    task.euid = parent.euid;
    task.suid = parent.suid;
    task.gid = parent.gid;
    task.egid = parent.egid;
    task.sgid = parent.sgid;
    task.caps = parent.caps;
    task.cpu = parent.cpu;
    task.cpuNid = parent.cpuNid;
    task.policy = parent.policy;
    task.ilPrev = parent.ilPrev;
    task.ilWeight = parent.ilWeight;
    task.rlimitMemlock = parent.rlimitMemlock;
    task.cpuset = parent.cpuset;
    task.comm = parent.comm;
    this.tasks.set(pid, task);
    return task;
  }

  placeTask(task: Task, cpu: number): void {
    task.cpu = cpu;
    for (const node of this.spec.nodes) if (node.cpus.includes(cpu)) task.cpuNid = node.nid;
  }

  newAddressSpace(): AddressSpace {
    const id = this.#freeSpaces.pop() ?? this.spaces.length;
    const mm = new AddressSpace(id);
    this.spaces[id] = mm;
    return mm;
  }

  dropAddressSpace(mm: AddressSpace): void {
    this.spaces[mm.id] = null;
    this.#freeSpaces.push(mm.id);
  }

  newAnonVma(): AnonVma {
    const id = this.#freeAnonVmas.pop() ?? this.anonVmas.length;
    const anonVma = new AnonVma(id);
    this.anonVmas[id] = anonVma;
    return anonVma;
  }

  dropAnonVma(anonVma: AnonVma): void {
    this.anonVmas[anonVma.id] = null;
    this.#freeAnonVmas.push(anonVma.id);
  }

  newFile(name: string, kind: FileKind, sizePages: number): MappedFile {
    const file = new MappedFile(this.files.length, name, kind, sizePages);
    this.files.push(file);
    return file;
  }

  /** The last user of a nameless file is gone: its pages and swap slots are freed. */
  dropFile(file: MappedFile): void {
    if (file.kind === 'hugetlb') dropHugetlbCache(this, file);
    else truncateFile(this, file, 0);
    this.files[file.id] = null;
  }

  /** A weight written by hand, 1..255: the automatic ones are not computed any more (TI-82). */
  setInterleaveWeight(nid: Nid, weight: number): void {
    this.interleaveWeights[nid] = weight;
    this.interleaveAuto = false;
  }

  /** weighted_interleave/auto: weights are computed from bandwidth again (TI-82). */
  restoreInterleaveWeights(): void {
    this.interleaveWeights.set(autoInterleaveWeights(this.spec).subarray(0, 32));
    this.interleaveAuto = true;
  }

  /** Mlocked state leaves with a migrated source; the destination got its own (MC-36). */
  clearMlocked(head: FrameId): void {
    this.frames.flags[head] &= ~PG_MLOCKED;
    this.vmstat.modZone(this.pm.zoneOf(head).id, NR_MLOCK, -this.folios.nrPages(head));
  }

  /** folio_wait_writeback: I/O started by the model's users ends when someone waits for it. */
  waitOnWriteback(head: FrameId): void {
    this.frames.flags[head] &= ~PG_WRITEBACK;
    this.vmstat.modNode(this.pm.nidOf(head), NR_WRITEBACK, -this.folios.nrPages(head));
  }

  /** A page table page: unmovable kernel memory of the local node (pte_alloc_one). -1 = -ENOMEM. */
  allocPageTable(nid: number): number {
    const frame = allocPages(this.pm, 0, GFP_KERNEL, nid, -1);
    if (frame < 0) return -1;
    this.frames.mapcount[frame] = PGTY_TABLE;
    this.vmstat.modNode(this.pm.nidOf(frame), NR_PAGETABLE, 1);
    return this.ptes.allocate(frame);
  }

  freePageTable(table: number): void {
    const frame = this.ptes.release(table);
    this.vmstat.modNode(this.pm.nidOf(frame), NR_PAGETABLE, -1);
    this.frames.mapcount[frame] = 0;
    freePages(this.pm, frame, 0);
  }
}

/** Events counted in many files. */
export const PGFAULT = vmEvent('pgfault');
export const PGMAJFAULT = vmEvent('pgmajfault');
