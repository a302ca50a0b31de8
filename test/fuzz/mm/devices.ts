/** The devices of a world, one with private and one with coherent memory, and their mirrors. */
import {
  type AddressSpace,
  Dmirror,
  DmirrorDevice,
  HPAGE_PMD_NR,
  type Kernel,
  PTE_FAST,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_W,
  PTEB_WRITE,
  pteIsKind,
  pteMapsPage,
  ptePayload,
  type Task,
} from './kernelDoor.ts';

const COHERENT_PFN = 2 ** 22;
/** One section. */
const CHUNK_PAGES = 32768;
/** Of mirror entries (dmirror.ts). */
const TAG_ATOMIC = 1;
const TAG_WRITE = 3;

export interface SavedDevices {
  readonly devices: Map<boolean, DmirrorDevice>;
  readonly mirrors: Dmirror[];
}

export class FuzzDevices {
  #k: Kernel;
  /** By whether the memory is coherent. */
  #devices: Map<boolean, DmirrorDevice> = new Map();
  #mirrors: Dmirror[] = [];

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** What to save beside the kernel, to adopt with the restored one. */
  get saved(): SavedDevices {
    return { devices: this.#devices, mirrors: this.#mirrors };
  }

  adopt(k: Kernel, { devices, mirrors }: SavedDevices): void {
    this.#k = k;
    this.#devices = devices;
    this.#mirrors = mirrors;
  }

  device(coherent: boolean): DmirrorDevice {
    const known = this.#devices.get(coherent);
    if (known !== undefined) return known;
    const coherentPfn = coherent ? COHERENT_PFN : -1;
    const device = DmirrorDevice.probe(this.#k, {
      name: 'fuzz',
      coherentPfn,
      nid: 0,
      chunkPages: CHUNK_PAGES,
    });
    this.#devices.set(coherent, device);
    return device;
  }

  /** The mirror of a task's address space; opened when it is first asked for. */
  mirror(task: Task, coherent: boolean): Dmirror {
    const device = this.device(coherent);
    this.#dropDead();
    const known = this.#mirrors.find((one) => one.mm === task.mm && one.device === device);
    if (known !== undefined) return known;
    const mirror = Dmirror.open(this.#k, device, task);
    this.#mirrors.push(mirror);
    return mirror;
  }

  /** Mirrors of address spaces that are gone are closed. */
  #dropDead(): void {
    this.#mirrors = this.#mirrors.filter((mirror) => {
      if (this.#k.spaces[mirror.mm.id] === mirror.mm) return true;
      mirror.close();
      return false;
    });
  }

  /** DM-3: what a mirror says of a page is what its entry says: nobody forgot to call. */
  compareMirrors(wrong: string[]): void {
    this.#dropDead();
    for (const { mm, table } of this.#mirrors) {
      for (const [vpn, entry] of table) {
        const stale = staleness(this.#k, mm, vpn, Math.floor(entry / 4), entry % 4);
        if (stale !== '') wrong.push(`DM-3: mirror of page ${vpn} of mm ${mm.id}: ${stale}`);
      }
    }
  }

  /** Preconditions: all processes have ended. What is left, as sentences. */
  tearDown(): string[] {
    const left: string[] = [];
    this.#dropDead();
    if (this.#mirrors.length > 0) left.push('DM-53: a mirror outlives its address space');
    for (const device of this.#devices.values()) {
      let live = 0;
      for (const chunk of device.chunks) live += this.#k.devices.livePages(chunk);
      if (live !== 0) left.push(`DM-50: ${live} device pages never freed`);
      let free = device.freePages.length + device.freeFolios.length * HPAGE_PMD_NR;
      for (const { start, end } of device.fresh) free += end - start;
      for (const { nrPages } of device.chunks) free -= nrPages;
      if (free !== 0) left.push(`DM-50: the device has ${free} free pages too many`);
    }
    return left;
  }
}

/** Why an entry of a mirror is not true any more; '' if it is. */
function staleness(k: Kernel, mm: AddressSpace, vpn: number, frame: number, tag: number): string {
  const slot = mm.slotOf(vpn);
  const isHuge = slot >= 0 && mm.pmd[slot] !== 0;
  const i = slot < 0 || isHuge ? -1 : mm.pteIndex(vpn);
  if (!isHuge && i < 0) return 'nothing is mapped';
  const word = isHuge ? mm.pmd[slot] : k.ptes.words[i];
  const byte = isHuge ? mm.pmdByte[slot] : k.ptes.bytes[i];
  if (word === 0 || !pteMapsPage(word)) return 'nothing is mapped';
  const offset = isHuge && ptePayload(word) !== k.hugeZeroHead ? vpn - mm.slotVpn[slot] : 0;
  if (ptePayload(word) + offset !== frame) return `frame ${frame}, not ${ptePayload(word)}`;
  const isExclusive = pteIsKind(word, PTE_KIND_DEVICE_EXCLUSIVE);
  if (tag === TAG_ATOMIC) return isExclusive ? '' : 'exclusive no more';
  if (isExclusive) return 'exclusive to somebody else';
  const isFast = (word & PTE_FAST) !== 0;
  const writes = isFast ? (word & PTE_W) !== 0 : (byte & PTEB_WRITE) !== 0;
  return tag === TAG_WRITE && !writes ? 'writable no more' : '';
}
