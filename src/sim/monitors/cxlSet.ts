/**
 * The CXL devices behind one node: an interleave set, their hot page units, and the way from frames
 * to units and back through the HDM decoders. HS-40..HS-50, HS-59.
 *
 * What can be computed once is: for each page of the node the devices and units that its parts are
 * in. A page has several parts when granularity or unit is smaller than it; as traces know pages
 * only, its accesses go round its parts.
 *
 * Deviates: the set's addresses are a window of its own, aligned as decoders of every number of
 * ways need, in which the node's frames are counted from its first one; holes take no place.
 */
import { assert, UserError } from '../../base/assert.ts';
import { type FrameId, type Nid, PAGE_SIZE } from '../../base/units.ts';
import {
  type CxlRegion,
  checkRegion,
  dpaToHpa,
  encodeGranularity,
  encodeWays,
  exampleXorMaps,
  type HotPageCapabilities,
  type HotPageConfig,
  HotPageUnit,
  hpaToDpa,
} from '../../hw/index.ts';

/** Windows of sets lie so far apart: a multiple of 3 * 256 MiB and of 16 * 256 MiB. */
const WINDOW_BYTES = 3 * 64 * 1024 ** 3 * 16;

export interface CxlSetOptions {
  readonly ways: number;
  readonly granularityBytes: number;
  readonly isXor: boolean;
  readonly config: HotPageConfig;
  readonly capabilities: Omit<HotPageCapabilities, 'deviceBytes'>;
}

export class CxlSet {
  readonly firstFrame: FrameId;
  readonly nrFrames: number;
  readonly devices: readonly HotPageUnit[];
  /** Parts of a page that are counted apart, a power of two. */
  readonly partsPerPage: number;
  /** At page * partsPerPage + part. */
  readonly deviceOf: Uint8Array;
  readonly unitOf: Int32Array;
  readonly #region: CxlRegion;
  readonly #unitBytes: number;
  readonly #chunkBytes: number;

  /** Errors: UserError for ways or granularities that decoders do not have. */
  constructor(nid: Nid, firstFrame: FrameId, nrFrames: number, options: CxlSetOptions) {
    const { ways, granularityBytes, isXor, config, capabilities } = options;
    this.firstFrame = firstFrame;
    this.nrFrames = nrFrames;
    const eig = encodeGranularity(granularityBytes);
    const eiw = encodeWays(ways);
    // XOR moves addresses within blocks of 32 MiB: all of them are to be backed.
    const step = ways * 64 * 1024 ** 2;
    const bytes = Math.ceil((nrFrames * PAGE_SIZE) / step) * step;
    this.#region = {
      hpaBase: (nid + 1) * WINDOW_BYTES,
      hpaSize: bytes,
      eig,
      eiw,
      cacheBytes: 0,
      xorMaps: isXor && eig >= 0 && eiw >= 0 ? exampleXorMaps(ways, eig) : [],
      dpaBase: new Array<number>(ways).fill(0),
    };
    if (eig < 0 || eiw < 0 || checkRegion(this.#region) !== 0) {
      const remedy = 'ways 1, 2, 3, 4, 6, 8, 12 or 16; granularity 256 to 16384, a power of two';
      throw new UserError(`${ways} ways of ${granularityBytes} bytes`, 'no decoder does', remedy);
    }
    this.#unitBytes = config.unitBytes;
    // A single device is not interleaved, whatever its decoder says.
    const partBytes = ways === 1 ? PAGE_SIZE : Math.min(granularityBytes, PAGE_SIZE);
    this.#chunkBytes = Math.min(partBytes, config.unitBytes);
    this.partsPerPage = PAGE_SIZE / this.#chunkBytes;
    this.devices = this.#region.dpaBase.map(() => {
      return new HotPageUnit({ ...capabilities, deviceBytes: bytes / ways });
    });
    for (const device of this.devices) {
      if (device.enable(config) === 0) continue;
      const what = `unit ${config.unitBytes}, downsample ${config.downsample}`;
      throw new UserError(what, 'the device cannot do that', 'see hetmem heat --list');
    }
    this.deviceOf = new Uint8Array(nrFrames * this.partsPerPage);
    this.unitOf = new Int32Array(nrFrames * this.partsPerPage);
    this.#fillPlaces();
  }

  /** The devices do not care for the order of accesses before the end of an epoch. */
  get isPlain(): boolean {
    return this.devices.every((device) => device.isPlain);
  }

  #fillPlaces(): void {
    const { hpaBase } = this.#region;
    for (let at = 0; at < this.unitOf.length; at++) {
      const place = hpaToDpa(this.#region, hpaBase + at * this.#chunkBytes);
      assert(typeof place !== 'number', 'a frame that no device holds');
      this.deviceOf[at] = place.position;
      this.unitOf[at] = Math.floor(place.dpa / this.#unitBytes);
    }
  }

  /**
   * The pages of the node that a unit of a device holds parts of, ascending, into `pages`; returns
   * their number. Preconditions: room for all: (unitBytes / granularity + 1) or so.
   */
  pagesOfUnit(position: number, unit: number, pages: Int32Array): number {
    const { hpaBase } = this.#region;
    const first = unit * this.#unitBytes;
    let n = 0;
    for (let dpa = first; dpa < first + this.#unitBytes; dpa += this.#chunkBytes) {
      const hpa = dpaToHpa(this.#region, position, dpa);
      if (hpa < 0) continue;
      const page = Math.floor((hpa - hpaBase) / PAGE_SIZE);
      if (page < this.nrFrames && !pages.subarray(0, n).includes(page)) pages[n++] = page;
    }
    return n;
  }

  /** Most pages that a unit can hold parts of. */
  get pagesOfUnitMax(): number {
    return this.#unitBytes / this.#chunkBytes;
  }
}
