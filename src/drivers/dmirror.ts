/**
 * The kernel's test driver (lib/test_hmm.c): one open file of a test device, that is a mirror of
 * the page table of the process that opened it. DM-3, DM-4, DM-13, DM-14a, DM-20a, DM-33a, DM-43a,
 * DM-70.
 *
 * Every operation is an ioctl of the real one. It answers a negative errno, or 0 with the pages it
 * got through and the device faults it took. A read or write goes as far as the mirror has pages,
 * faults once for all the rest, and goes on.
 *
 * Deviates: a device write to a page on the private device works; 7.3.4 crashes.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  allocPages,
  clearPages,
  DeviceMigration,
  devicePageLoad,
  devicePageStore,
  HMM_PFN_ERROR,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  type HmmRange,
  isDevicePrivate,
  type Kernel,
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_SYSTEM,
  MMU_NOTIFY_MIGRATE,
  MmuInterval,
  type MmuListener,
  type MmuRange,
  makeDeviceExclusive,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
  mmuIntervalInsert,
  mmuIntervalRemove,
  TASK_SIZE_PAGES,
  type Task,
  VM_READ,
} from '../mm/index.ts';
import { EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM, EPERM } from '../uapi/errno.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { copyToDevice, copyToSystem } from './deviceCopy.ts';
import type { DeviceMirror, DmirrorDevice } from './dmirrorDevice.ts';
import { mapInserted } from './insertedPages.ts';
import { mirrorRange } from './mirrorRange.ts';

/** Pages that one hmm_range_fault call of the driver asks for. */
const RANGE_PAGES = 32;

/** What a mirror entry allows. */
const TAG_READ = 0;
const TAG_ATOMIC = 1;
const TAG_WRITE = 3;

/** The result of an ioctl. */
export interface DmirrorResult {
  /** 0 or a negative errno. */
  readonly ret: number;
  readonly cpages: number;
  /** Device faults taken. */
  readonly faults: number;
  /** Content word of each page that was read. */
  readonly words: readonly number[];
}

/** Faults without a page more before the driver gives a range up. */
const FAULTS_IN_VAIN_MAX = 16;

function failed(ret: number): DmirrorResult {
  return { ret, cpages: 0, faults: 0, words: [] };
}

export class Dmirror implements MmuListener, DeviceMirror {
  readonly device: DmirrorDevice;
  readonly k: Kernel;
  readonly mm: AddressSpace;
  readonly notifier: MmuInterval;
  /** The device's page table: page number -> frame * 4 + tag. */
  readonly table: Map<Vpn, number> = new Map();

  /** Not open yet: see open. */
  constructor(k: Kernel, device: DmirrorDevice, mm: AddressSpace) {
    this.k = k;
    this.device = device;
    this.mm = mm;
    this.notifier = new MmuInterval(mm, 0, TASK_SIZE_PAGES, this);
  }

  /** open(2) by a task. Preconditions: it has an address space. */
  static open(k: Kernel, device: DmirrorDevice, task: Task): Dmirror {
    const mirror = new Dmirror(k, device, task.mm!);
    const ret = mmuIntervalInsert(mirror.notifier);
    assert(ret === 0, 'a mirror of a dying address space', ret);
    device.mirrors.add(mirror);
    return mirror;
  }

  /**
   * dmirror_fops_mmap: pages of the kernel, zeroes, put into the area one by one (vm_insert_page).
   * The first page number, or -ENOMEM.
   */
  mmap(task: Task, pages: number, prot: number, flags: number): Vpn {
    const { k } = this;
    const area = { name: '/dev/hmm_dmirror', pages, prot, flags };
    return mapInserted(k, task, area, () => {
      const page = allocPages(k.pm, 0, GFP_KERNEL, task.cpuNid, -1);
      if (page >= 0) clearPages(k, page, 1);
      return page;
    });
  }

  /** The last close. */
  close(): void {
    mmuIntervalRemove(this.notifier);
    this.device.mirrors.delete(this);
    this.table.clear();
  }

  /** dmirror_interval_invalidate. DM-43a: the page at the end of the range is forgotten, too. */
  invalidate({ start, end, event, owner }: MmuRange): void {
    if (event === MMU_NOTIFY_MIGRATE && owner === this.device) return;
    if (end - start > this.table.size) {
      for (const vpn of [...this.table.keys()]) {
        if (vpn >= start && vpn <= end) this.table.delete(vpn);
      }
      return;
    }
    for (let vpn = start; vpn <= end; vpn++) this.table.delete(vpn);
  }

  /**
   * HMM_DMIRROR_READ. With `onUserfault` it drops the lock and waits for the pages that userfaultfd
   * reports, which this fills. Errors: see #eachMirrored.
   */
  read(task: Task, start: Vpn, nr: number, onUserfault?: (vpn: Vpn) => void): DmirrorResult {
    const words: number[] = [];
    const goOn = () => {
      this.#readMirror(start, nr, words);
      return words.length;
    };
    const result = this.#eachMirrored(task, start, nr, false, goOn, onUserfault);
    return { ...result, words };
  }

  /** HMM_DMIRROR_WRITE: `words` go to the pages from `start` on. Errors: see #eachMirrored. */
  write(task: Task, start: Vpn, words: readonly number[]): DmirrorResult {
    let done = 0;
    const goOn = () => {
      for (; done < words.length; done++) {
        const entry = this.table.get(start + done);
        if (entry === undefined || entry % 4 !== TAG_WRITE) break;
        devicePageStore(this.k, Math.floor(entry / 4), words[done]);
      }
      return done;
    };
    return { ...this.#eachMirrored(task, start, words.length, true, goOn), words: [] };
  }

  /**
   * Calls `goOn`, which says how many pages are done, until all are; before each further call the
   * rest gets into the mirror. Errors: those of dmirror_fault.
   *
   * Deviates: a range that memory cannot hold at once, so that reclaim takes its first page before
   * its last one is there, ends in -EBUSY; Linux' driver goes on until a signal comes.
   */
  #eachMirrored(
    task: Task,
    start: Vpn,
    nr: number,
    write: boolean,
    goOn: () => number,
    onUserfault: ((vpn: Vpn) => void) | null = null,
  ) {
    let cpages = 0;
    let faults = 0;
    for (let inVain = 0; ; inVain++) {
      const before = cpages;
      cpages = goOn();
      if (cpages === nr) return { ret: 0, cpages, faults };
      if (cpages > before) inVain = 0;
      const isHopeless = inVain > FAULTS_IN_VAIN_MAX;
      const ret = isHopeless
        ? -EBUSY
        : this.#fault(task, start + cpages, start + nr, write, onUserfault);
      if (ret < 0) return { ret, cpages, faults };
      faults++;
    }
  }

  /** dmirror_do_read: appends words; false at the first page the mirror does not have. */
  #readMirror(start: Vpn, nr: number, words: number[]): boolean {
    while (words.length < nr) {
      const entry = this.table.get(start + words.length);
      if (entry === undefined) return false;
      words.push(devicePageLoad(this.k, Math.floor(entry / 4)));
    }
    return true;
  }

  /** dmirror_fault: the range gets into the mirror. */
  #fault(
    task: Task,
    start: Vpn,
    end: Vpn,
    write: boolean,
    onUserfault: ((vpn: Vpn) => void) | null,
  ): number {
    const request = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0);
    for (let vpn = start; vpn < end; vpn += RANGE_PAGES) {
      const to = Math.min(end, vpn + RANGE_PAGES);
      const range = this.#range(task, vpn, to, request, onUserfault);
      if (typeof range === 'number') return range;
      const ret = this.#enter(range, write);
      if (ret < 0) return ret;
    }
    return 0;
  }

  #range(
    task: Task,
    start: Vpn,
    end: Vpn,
    request: number,
    onUserfault: ((vpn: Vpn) => void) | null = null,
  ): HmmRange | number {
    const { k, notifier, device } = this;
    return mirrorRange(k, task, notifier, device, start, end, request, onUserfault);
  }

  /** dmirror_do_fault. */
  #enter(range: HmmRange, write: boolean): number {
    for (let i = 0; i < range.end - range.start; i++) {
      const isWritable = (range.bits[i] & HMM_PFN_WRITE) !== 0;
      if (write && !isWritable) return -EFAULT;
      this.#map(range.start + i, range.pages[i], isWritable ? TAG_WRITE : TAG_READ);
    }
    return 0;
  }

  #map(vpn: Vpn, frame: FrameId, tag: number): void {
    this.table.set(vpn, frame * 4 + tag);
  }

  /**
   * HMM_DMIRROR_MIGRATE_TO_DEV: area by area, 512 pages at a time; then the range is read through
   * the mirror, and -ENOENT says that a page is not there (DM-33a). -EINVAL at a hole or an area
   * that cannot be read (DM-20a).
   */
  migrateToDevice(task: Task, start: Vpn, nr: number): DmirrorResult {
    const select = MIGRATE_VMA_SELECT_SYSTEM | MIGRATE_VMA_SELECT_COMPOUND;
    const ret = this.#eachPart(task, start, start + nr, select, (m) => {
      copyToDevice(this.k, m, this.device);
      migrateVmaPages(this.k, m);
      this.#enterMigrated(m);
      migrateVmaFinalize(this.k, m);
      return 0;
    });
    if (ret < 0) return failed(ret);
    const words: number[] = [];
    const isThere = this.#readMirror(start, nr, words);
    return { ret: isThere ? 0 : -ENOENT, cpages: words.length, faults: 0, words };
  }

  /**
   * HMM_DMIRROR_MIGRATE_TO_SYS. Counts slots: a large page is one. -ENOMEM when system memory ran
   * out: the 2 MiB it happened in stay.
   */
  migrateToSystem(task: Task, start: Vpn, nr: number): DmirrorResult {
    let cpages = 0;
    const select = this.device.select | MIGRATE_VMA_SELECT_COMPOUND;
    const ret = this.#eachPart(task, start, start + nr, select, (m) => {
      const isGiven = copyToSystem(this.k, m, this.device);
      if (isGiven) {
        this.forget(m);
        migrateVmaPages(this.k, m);
        for (let i = 0; i < m.npages; i++) if (m.wants(i) && m.src[i] >= 0) cpages++;
      }
      migrateVmaFinalize(this.k, m);
      return isGiven ? 0 : -ENOMEM;
    });
    return { ret, cpages, faults: 0, words: [] };
  }

  /** What goes to system memory leaves the mirror. */
  forget(m: DeviceMigration): void {
    for (let i = 0; i < m.npages; i++) {
      if (!m.wants(i) || m.src[i] < 0) continue;
      const nr = m.isCompound(i) ? HPAGE_PMD_NR : 1;
      for (let n = 0; n < nr; n++) this.table.delete(m.start + i + n);
    }
  }

  /**
   * Sets up one migration per area and 512 pages, and runs `move` on it; ends at the first errno.
   */
  #eachPart(
    task: Task,
    start: Vpn,
    end: Vpn,
    select: number,
    move: (m: DeviceMigration) => number,
  ): number {
    for (let vpn = start; vpn < end; ) {
      const vma = this.mm.findVma(vpn);
      if (vma === null || !vma.has(VM_READ)) return -EINVAL;
      const next = Math.min(end, vpn + HPAGE_PMD_NR, vma.end);
      const m = new DeviceMigration(task, vma, vpn, next, this.device, select);
      const ret = migrateVmaSetup(this.k, m);
      if (ret < 0) return ret;
      const moved = move(m);
      if (moved < 0) return moved;
      vpn = next;
    }
    return 0;
  }

  /** dmirror_migrate_finalize_and_map: what moved gets into the mirror (DM-32). */
  #enterMigrated(m: DeviceMigration): void {
    for (let i = 0; i < m.npages; i++) {
      if (!m.wants(i) || m.dst[i] < 0) continue;
      const head = m.dst[i];
      const tag = (m.dstBits[i] & MIGRATE_PFN_WRITE) !== 0 ? TAG_WRITE : TAG_READ;
      const nr = (m.dstBits[i] & MIGRATE_PFN_COMPOUND) !== 0 ? HPAGE_PMD_NR : 1;
      for (let n = 0; n < nr; n++) this.#map(m.start + i + n, head + n, tag);
    }
  }

  /**
   * HMM_DMIRROR_SNAPSHOT: what hmm_range_fault tells of each page without faulting, in words: NONE,
   * READ, WRITE, ERROR, with the kind of page before.
   */
  snapshot(task: Task, start: Vpn, nr: number): readonly string[] | number {
    const perms: string[] = [];
    for (let vpn = start; vpn < start + nr; vpn += RANGE_PAGES) {
      const to = Math.min(start + nr, vpn + RANGE_PAGES);
      const range = this.#range(task, vpn, to, 0);
      if (typeof range === 'number') return range;
      for (let i = 0; i < to - vpn; i++) perms.push(this.#describe(range, i));
    }
    return perms;
  }

  /** dmirror_mkentry. */
  #describe(range: HmmRange, i: number): string {
    const bits = range.bits[i];
    if ((bits & HMM_PFN_ERROR) !== 0) return 'ERROR';
    if ((bits & HMM_PFN_VALID) === 0) return 'NONE';
    const kind = this.#kindOf(range.pages[i]);
    const huge = range.order[i] === HPAGE_PMD_ORDER ? 'PMD|' : '';
    return `${kind}${huge}${(bits & HMM_PFN_WRITE) !== 0 ? 'WRITE' : 'READ'}`;
  }

  #kindOf(frame: FrameId): string {
    const k = this.k;
    if (frame === k.zeroFrame) return 'ZERO|';
    if (!k.pm.isZoneDevice(frame)) return '';
    const kind = isDevicePrivate(k, frame) ? 'DEVPRIV' : 'DEVCOH';
    return `${kind}_${this.device.owns(frame) ? 'LOCAL' : 'REMOTE'}|`;
  }

  /** HMM_DMIRROR_EXCLUSIVE: page by page; then the range is read through the mirror. */
  exclusive(task: Task, start: Vpn, nr: number): DmirrorResult {
    for (let vpn = start; vpn < start + nr; vpn++) {
      const page = makeDeviceExclusive(this.k, task, vpn, null);
      if (page < 0) return failed(page);
      this.#map(vpn, page, TAG_ATOMIC);
      this.k.putFolio(this.k.frames.headOf(page));
    }
    const words: number[] = [];
    const isThere = this.#readMirror(start, nr, words);
    return { ret: isThere ? 0 : -ENOENT, cpages: words.length, faults: 0, words };
  }

  /** HMM_DMIRROR_CHECK_EXCLUSIVE: -EPERM if the device still has a page of the range to itself. */
  checkExclusive(start: Vpn, nr: number): DmirrorResult {
    for (let vpn = start; vpn < start + nr; vpn++) {
      const entry = this.table.get(vpn);
      if (entry !== undefined && entry % 4 === TAG_ATOMIC) return failed(-EPERM);
    }
    return failed(0);
  }
}
