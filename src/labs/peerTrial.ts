/**
 * Random use of device memory by its own device, by CPUs and by a peer, with the truth beside it:
 * what each page should hold. Counts what a scheme of lifetimes lets happen. D10.
 */
import { RandomStream } from '../base/prng.ts';
import { PAGES_PER_SECTION, type Vpn } from '../base/units.ts';
import {
  type AcceleratorContext,
  PeerAccelerator,
  type PeerMapping,
  type PeerScheme,
} from '../drivers/index.ts';
import {
  accessPage,
  devicePageLoad,
  devicePageStore,
  exitTask,
  FAULT_ERROR,
  findBrokenInvariants,
  Kernel,
  mmapRegion,
  pageAt,
  plainMachine,
  type Task,
} from '../mm/index.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { LAB_ACCELERATOR, opened, probed } from './labAccelerator.ts';

const PROCESSES = 3;
const PAGES = 32;
/** Words of a peer are above this, those of programs below. */
const PEER_WORDS = 1_000_000;

export interface PeerOutcome {
  /** Stores of the peer that the program does not see: its data had moved. */
  lost: number;
  /** Pages that show what the peer wrote for another one. */
  corrupted: number;
  /** CPU accesses that ended in SIGBUS because the page could not come back. */
  failedAccesses: number;
  /** Stores whose range had been revoked: the peer mapped the page again first. */
  mappedAgain: number;
  /** DMA refused for good: the process that the range was of has ended. */
  refused: number;
  /** Stores of the peer that were done. */
  stores: number;
  /** Left after teardown that should not be, as sentences. */
  leaks: readonly string[];
}

interface Process {
  readonly task: Task;
  readonly context: AcceleratorContext;
  readonly start: Vpn;
  readonly truth: number[];
}

interface Lent {
  readonly mapping: PeerMapping;
  readonly process: Process;
  readonly page: number;
}

export function peerTrial(scheme: PeerScheme, seed: number, steps: number): PeerOutcome {
  const trial = new PeerTrial(scheme, seed);
  for (let step = 0; step < steps; step++) trial.step(step + 1);
  return trial.end();
}

class PeerTrial {
  readonly #k: Kernel;
  readonly #device: PeerAccelerator;
  readonly #random: RandomStream;
  readonly #processes: Process[] = [];
  #lent: Lent[] = [];
  /** Word of the peer -> the page that it was stored for. */
  readonly #meantFor: Map<number, Pick<Lent, 'process' | 'page'>> = new Map();
  readonly #found: Omit<PeerOutcome, 'leaks'> = {
    lost: 0,
    corrupted: 0,
    failedAccesses: 0,
    mappedAgain: 0,
    refused: 0,
    stores: 0,
  };

  constructor(scheme: PeerScheme, seed: number) {
    const zones = [{ zone: ZONE_NORMAL, pages: PAGES_PER_SECTION }];
    const plain = plainMachine([{ cpus: [0], zones }]);
    const spec = { ...plain, experimental: ['device_peer_ranges'] as const };
    this.#k = new Kernel(spec, { seed, trackContent: true, deviceSections: 1 });
    this.#random = new RandomStream(seed, 'peer');
    const accelerator = { ...LAB_ACCELERATOR, rangePages: 4 };
    this.#device = probed(new PeerAccelerator(this.#k, accelerator, scheme));
    for (let n = 0; n < PROCESSES; n++) this.#processes.push(this.#start());
  }

  #start(): Process {
    const task = this.#k.spawn(null, 0);
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const request = { addr: 0, pages: PAGES, prot, flags, file: null, pgoff: 0 };
    const start = mmapRegion(this.#k, task.mm!, request);
    const context = opened(this.#device, task);
    return { task, context, start, truth: new Array<number>(PAGES).fill(0) };
  }

  step(word: number): void {
    const process = this.#processes[this.#random.below(PROCESSES)];
    const page = this.#random.below(PAGES);
    const what = this.#random.below(16);
    if (what < 5) this.#deviceLoads(process, page);
    else if (what < 7) this.#cpuStores(process, page, word);
    else if (what < 9) this.#cpuLoads(process, page);
    else if (what < 11) this.#peerMaps(process, page);
    else if (what < 14) this.#peerStores(PEER_WORDS + word);
    else if (what < 15) this.#peerUnmaps();
    else if (this.#random.below(8) === 0) this.#restart();
  }

  #deviceLoads(process: Process, page: number): void {
    const word = process.context.load(process.task, process.start + page);
    if (word >= 0) this.#compare(process, page, word);
  }

  #cpuLoads(process: Process, page: number): void {
    const frame = this.#touch(process, page, false);
    if (frame >= 0) this.#compare(process, page, devicePageLoad(this.#k, frame));
  }

  #cpuStores(process: Process, page: number, word: number): void {
    const frame = this.#touch(process, page, true);
    if (frame < 0) return;
    devicePageStore(this.#k, frame, word);
    process.truth[page] = word;
  }

  /** The frame that a CPU gets at, -1 after SIGBUS. */
  #touch({ task, start }: Process, page: number, write: boolean): number {
    const outcome = accessPage(this.#k, task, start + page, write);
    if ((outcome & FAULT_ERROR) === 0) return pageAt(this.#k, task.mm!, start + page);
    this.#found.failedAccesses++;
    return -1;
  }

  /** The truth is set to what is there, so that nothing is counted twice. */
  #compare(process: Process, page: number, word: number): void {
    const expected = process.truth[page];
    if (word === expected) return;
    const meant = this.#meantFor.get(word);
    const isForeign = meant !== undefined && (meant.process !== process || meant.page !== page);
    if (isForeign) this.#found.corrupted++;
    else this.#found.lost++;
    process.truth[page] = word;
  }

  #peerMaps(process: Process, page: number): void {
    const mapping = this.#device.peerMap(process.context, process.start + page);
    if (typeof mapping !== 'number') this.#lent.push({ mapping, process, page });
  }

  #peerStores(word: number): void {
    if (this.#lent.length === 0) return;
    const at = this.#random.below(this.#lent.length);
    if (this.#lent[at].mapping.isRevoked && !this.#mapAgain(at)) return;
    const { mapping, process, page } = this.#lent[at];
    if (this.#device.peerStore(mapping, word) < 0) throw new Error('a fresh range is refused');
    this.#found.stores++;
    this.#meantFor.set(word, { process, page });
    process.truth[page] = word;
  }

  /** The peer heard of the revocation: the device fetches the page, and it maps the new place. */
  #mapAgain(at: number): boolean {
    const { process, page } = this.#lent[at];
    const isAlive = this.#processes.includes(process);
    if (isAlive) this.#deviceLoads(process, page);
    const mapping = isAlive ? this.#device.peerMap(process.context, process.start + page) : -1;
    if (typeof mapping === 'number') {
      this.#lent.splice(at, 1);
      this.#found.refused++;
      return false;
    }
    this.#lent[at] = { mapping, process, page };
    this.#found.mappedAgain++;
    return true;
  }

  #peerUnmaps(): void {
    if (this.#lent.length === 0) return;
    const [{ mapping }] = this.#lent.splice(this.#random.below(this.#lent.length), 1);
    this.#device.peerUnmap(mapping);
  }

  /** A process ends, another takes its place; its mappings stay with the peer. */
  #restart(): void {
    const at = this.#random.below(PROCESSES);
    this.#leave(this.#processes[at]);
    this.#processes[at] = this.#start();
  }

  #leave({ task, context }: Process): void {
    exitTask(this.#k, task);
    context.close();
  }

  end(): PeerOutcome {
    for (const process of this.#processes) this.#leave(process);
    for (const { mapping } of this.#lent) this.#device.peerUnmap(mapping);
    this.#lent = [];
    const leaks = findBrokenInvariants(this.#k);
    const free = this.#device.pages.nrFree;
    if (free !== PAGES_PER_SECTION) leaks.push(`DM-50: ${PAGES_PER_SECTION - free} pages leaked`);
    return { ...this.#found, leaks };
  }
}
