/**
 * The devices of a world whose memory programs map by themselves: a P2PDMA provider with few pages,
 * and a device-dax range. Each is probed when it is first asked for, and anew after it went; null
 * where the machine has no room for it.
 */
import { DeviceDax, type FrameId, type Kernel, P2pProvider, type PciPlace } from './kernelDoor.ts';
import { DEVDAX_PAGES } from './mappedDeviceOperations.ts';
import { ModelFile } from './model.ts';

/** Behind the persistent memory of FS-DAX (world.ts). */
const BAR_PFN = 2 ** 23 + 2 ** 21;
const DEVDAX_PFN = BAR_PFN + 2 ** 20;
/** One section, of which the provider keeps all but so many pages to itself. */
const BAR_PAGES = 32768;
const PEER_PAGES = 100;
const PLACE: PciPlace = { switchId: 1, hostBridge: 0, allowedBridges: new Set([0, 2]) };

/** Where the accelerators are, and others that do DMA; the last one is not on the bus. */
export const CLIENTS: readonly (PciPlace | undefined)[] = [
  { switchId: 1, hostBridge: 9 },
  { switchId: -1, hostBridge: 2 },
  { switchId: -1, hostBridge: 3 },
  undefined,
];

/** Page `index` of a mapping. */
interface ModelPlace {
  readonly model: ModelFile;
  readonly index: number;
}

/** A provider, and the pages that it never hands out. */
interface Fitted {
  readonly provider: P2pProvider;
  readonly kept: FrameId[];
}

export interface SavedMappedDevices {
  readonly peers: Fitted | null;
  readonly devdax: DeviceDax | null;
}

export class FuzzMappedDevices {
  #k: Kernel;
  #peers: Fitted | null = null;
  #devdax: DeviceDax | null = null;
  /** What the pages of the provider hold, as long as it lives. */
  readonly peerPages: Map<FrameId, ModelPlace> = new Map();
  devdaxModel: ModelFile = new ModelFile(0, 'devdax');

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** What to save beside the kernel, to adopt with the restored one. */
  get saved(): SavedMappedDevices {
    return { peers: this.#peers, devdax: this.#devdax };
  }

  adopt(k: Kernel, { peers, devdax }: SavedMappedDevices): void {
    this.#k = k;
    this.#peers = peers;
    this.#devdax = devdax;
  }

  get provider(): P2pProvider | null {
    if (this.#peers !== null) return this.#peers.provider;
    const provider = new P2pProvider(this.#k, structuredClone(PLACE));
    if (provider.probe(0, BAR_PFN, BAR_PAGES) !== 0) return null;
    this.#peers = { provider, kept: provider.free.splice(0, BAR_PAGES - PEER_PAGES) };
    return provider;
  }

  get devdax(): DeviceDax | null {
    if (this.#devdax !== null) return this.#devdax;
    const devdax = new DeviceDax(this.#k);
    if (devdax.probe(0, DEVDAX_PFN, DEVDAX_PAGES) !== 0) return null;
    this.#devdax = devdax;
    this.devdaxModel = new ModelFile(DEVDAX_PAGES, 'devdax');
    return devdax;
  }

  isPeer(page: FrameId): boolean {
    return this.#peers !== null && this.#isOn(this.#peers.provider, page);
  }

  isDevdax(page: FrameId): boolean {
    return this.#devdax !== null && this.#isOn(this.#devdax, page);
  }

  #isOn({ pagemap }: P2pProvider | DeviceDax, page: FrameId): boolean {
    return page >= pagemap.start && page < pagemap.start + pagemap.nrPages;
  }

  /** The provider goes: 0 or the errno. Nothing of it can be reached from now on. */
  removePeers(): number {
    if (this.#peers === null) return 0;
    const { provider } = this.#peers;
    for (const { model } of this.peerPages.values()) model.size = 0;
    const ret = provider.remove();
    if (ret === 0) {
      this.#peers = null;
      this.peerPages.clear();
    }
    return ret;
  }

  removeDevdax(): number {
    if (this.#devdax === null) return 0;
    this.devdaxModel.size = 0;
    const ret = this.#devdax.remove();
    if (ret === 0) {
      this.#devdax = null;
      this.devdaxModel = new ModelFile(0, 'devdax');
    }
    return ret;
  }

  /** Every page is the provider's or somebody's, and holds what was last stored into it. */
  compare(wrong: string[]): void {
    const content = this.#k.frames.content!;
    if (this.#peers !== null) {
      const { provider, kept } = this.#peers;
      const live = this.#k.devices.livePages(provider.pagemap);
      const free = provider.free.length + kept.length;
      if (live !== provider.lent.size || live + free !== BAR_PAGES) {
        wrong.push(`DM-90: ${live} pages live, ${provider.lent.size} lent, ${free} free`);
      }
      for (const page of provider.lent.keys()) {
        const { model, index } = this.peerPages.get(page)!;
        const word = model.wordAt(index);
        if (content[page] !== word) wrong.push(`peer page ${page}: ${content[page]}, not ${word}`);
      }
    }
    if (this.#devdax === null) return;
    const { start } = this.#devdax.pagemap;
    for (const [index, word] of this.devdaxModel.words) {
      const got = content[start + index];
      if (got !== word) wrong.push(`device-dax page ${index} holds ${got}, not ${word}`);
    }
  }

  /** Preconditions: nobody holds a page, all processes have ended. What is left, as sentences. */
  tearDown(): string[] {
    const lent = this.#peers?.provider.lent.size ?? 0;
    const left = this.removeAll();
    if (lent !== 0) left.push(`DM-50: ${lent} peer pages never freed`);
    return left;
  }

  /** Preconditions: nobody holds a page; programs may have them mapped. */
  removeAll(): string[] {
    const left: string[] = [];
    const peers = this.removePeers();
    if (peers !== 0) left.push(`DM-53: removing the P2PDMA provider returned ${peers}`);
    const devdax = this.removeDevdax();
    if (devdax !== 0) left.push(`DM-53: removing device-dax returned ${devdax}`);
    return left;
  }
}
