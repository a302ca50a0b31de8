/**
 * A small machine with one test device and one program, for tests of drivers: maps, stores, loads,
 * and looks where pages are.
 */
import {
  exitTask,
  findBrokenInvariants,
  forkTask,
  Kernel,
  loadWord,
  type MappedFile,
  madviseRange,
  mmapRegion,
  PTE_KIND_DEVICE_PRIVATE,
  plainMachine,
  pteIsKind,
  storeWord,
  type Task,
} from '../mm/index.ts';
import { MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { Dmirror } from './dmirror.ts';
import { DmirrorDevice } from './dmirrorDevice.ts';

/** 1, 2, 3 ...: what store writes. */
export const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

interface Child {
  readonly task: Task;
  readonly mirror: Dmirror;
}

export const PRIVATE = -1;
export const COHERENT_PFN = 2 ** 22;

export class DeviceBench {
  readonly k: Kernel;
  readonly task: Task;
  readonly device: DmirrorDevice;
  readonly mirror: Dmirror;
  readonly others: Child[] = [];

  constructor(
    coherentPfn: number = PRIVATE,
    kernel?: Kernel['spec']['kernel'],
    pages: number = 32768,
  ) {
    const machine = plainMachine([{ cpus: [0], zones: [{ zone: 2, pages }] }]);
    this.k = new Kernel(
      { ...machine, kernel: kernel ?? machine.kernel, sysctl: { thp_enabled: 'madvise' } },
      { seed: 1, trackContent: true, deviceSections: 8 },
    );
    this.task = this.k.spawn(null, 0);
    this.device = DmirrorDevice.probe(this.k, { name: 'test', coherentPfn, nid: 0 });
    this.mirror = Dmirror.open(this.k, this.device, this.task);
  }

  map(pages: number, how: number = MAP_PRIVATE | MAP_ANONYMOUS, file: MappedFile | null = null) {
    const prot = PROT_READ | PROT_WRITE;
    const at = { addr: 0, pages, prot, flags: how, file, pgoff: 0 };
    return mmapRegion(this.k, this.task.mm!, at);
  }

  /** A written 2 MiB page; its first page number. */
  mapHuge(): number {
    const start = Math.ceil(this.map(1024) / 512) * 512;
    madviseRange(this.k, this.task, start, start + 512, MADV_HUGEPAGE);
    this.store(start, 512);
    return start;
  }

  store(start: number, nr: number): void {
    for (let i = 0; i < nr; i++) storeWord(this.k, this.task, start + i, i + 1);
  }

  loads(start: number, nr: number): number[] {
    return Array.from({ length: nr }, (_, i) => loadWord(this.k, this.task, start + i));
  }

  /** Pages of the range whose entry is device-private, PMD leaves included. */
  onDevice(start: number, nr: number): number {
    const mm = this.task.mm!;
    let n = 0;
    for (let vpn = start; vpn < start + nr; vpn++) {
      const slot = mm.slotOf(vpn);
      const word = mm.pmd[slot] !== 0 ? mm.pmd[slot] : this.k.ptes.words[mm.pteIndex(vpn)];
      if (pteIsKind(word, PTE_KIND_DEVICE_PRIVATE)) n++;
    }
    return n;
  }

  /** Live pages of all its memory. */
  get live(): number {
    let live = 0;
    for (const chunk of this.device.chunks) live += this.k.devices.livePages(chunk);
    return live;
  }

  /** A child with a mirror of its own. */
  fork(): Child {
    const task = forkTask(this.k, this.task) as Task;
    const child = { task, mirror: Dmirror.open(this.k, this.device, task) };
    this.others.push(child);
    return child;
  }

  /** The end of everything: what is left that should not be, as sentences. */
  end(): string[] {
    for (const { task, mirror } of this.others) {
      exitTask(this.k, task);
      mirror.close();
    }
    exitTask(this.k, this.task);
    this.mirror.close();
    const left = findBrokenInvariants(this.k);
    if (this.live !== 0) left.push(`DM-50: ${this.live} device pages are live`);
    const ret = this.device.release(this.task);
    if (ret !== 0) left.push(`DM-53: release returned ${ret}`);
    return left;
  }
}
