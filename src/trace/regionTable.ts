/**
 * The 2 MiB regions of one process, numbered 0, 1, 2... as they are first asked for.
 *
 * An open-addressed hash from region (VPN / 512) to index, and the base VPN of each index. A
 * `Map` costs 50 ns a look-up, which a stream that touches a new region each access would pay.
 */
import { assert } from '../base/assert.ts';
import { REGION_PAGES, REGIONS_MAX } from './source.ts';

export class RegionTable {
  /** index -> first VPN, a multiple of REGION_PAGES. */
  base = new Float64Array(64);
  count = 0;
  // hash slot -> region (VPN / REGION_PAGES) | -1; Invariant: at most half full
  #key = new Int32Array(128).fill(-1);
  // hash slot -> index
  #index = new Int32Array(128);
  #last = -1;
  #lastIndex = 0;

  /** The index of the region that holds `vpn`; a new one when it is the first time. */
  indexOf(vpn: number): number {
    const region = Math.floor(vpn / REGION_PAGES);
    if (region === this.#last) return this.#lastIndex;
    const mask = this.#key.length - 1;
    let slot = slotOf(region) & mask;
    while (this.#key[slot] !== region && this.#key[slot] !== -1) slot = (slot + 1) & mask;
    const index = this.#key[slot] === region ? this.#index[slot]! : this.#add(region, slot);
    this.#last = region;
    this.#lastIndex = index;
    return index;
  }

  #add(region: number, slot: number): number {
    const index = this.count++;
    assert(index < REGIONS_MAX, 'a process touches more than 8 TiB');
    if (index >= this.base.length) {
      const grown = new Float64Array(this.base.length * 2);
      grown.set(this.base);
      this.base = grown;
    }
    this.base[index] = region * REGION_PAGES;
    this.#key[slot] = region;
    this.#index[slot] = index;
    if (this.count * 2 > this.#key.length) this.#rehash();
    return index;
  }

  #rehash(): void {
    const length = this.#key.length * 2;
    this.#key = new Int32Array(length).fill(-1);
    this.#index = new Int32Array(length);
    for (let index = 0; index < this.count; index++) {
      const region = this.base[index]! / REGION_PAGES;
      let slot = slotOf(region) & (length - 1);
      while (this.#key[slot] !== -1) slot = (slot + 1) & (length - 1);
      this.#key[slot] = region;
      this.#index[slot] = index;
    }
  }
}

function slotOf(region: number): number {
  const mixed = Math.imul(region, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}
