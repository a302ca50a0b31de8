/**
 * Memory tiers and demotion targets (mm/memory-tiers.c: find_create_memory_tier,
 * establish_demotion_targets, node_is_toptier). TI-1..TI-7.
 *
 * Every node with memory has an abstract distance; nodes whose distances fall into the same chunk
 * of 128 form a tier. Nodes demote to the nearest nodes of the next slower tier, and if these are
 * full to any slower one. A node is top tier unless it is slower than all tiers with CPUs.
 *
 * Where abstract distances come from (HMAT, CDAT, drivers) is the machine's: abstractDistance of
 * src/hw. This class answers for the machine as it is booted, by node masks and in constant time.
 */
import type { Nid } from '../base/units.ts';
import { MEMTIER_CHUNK_SIZE, nearestNodes } from '../hw/index.ts';
import type { PhysicalMemory } from './physicalMemory.ts';

export interface MemoryTier {
  /** memory_tierN in sysfs: adistanceStart / 128. */
  readonly id: number;
  readonly adistanceStart: number;
  /** Nodes with memory, bit mask. */
  nodes: number;
  /** Nodes of all slower tiers. */
  lowerTierMask: number;
}

export class MemoryTiers {
  readonly #pm: PhysicalMemory;
  readonly #abstractDistances: ArrayLike<number>;
  #tiers: MemoryTier[] = [];
  #topTierAdistance = 0;
  /** By nid: index in #tiers, -1 without memory. */
  readonly #tierIndex: Int32Array;
  readonly #preferred: Int32Array;

  /** Private fields, for saved states (src/state). */
  static privateFields(tiers: MemoryTiers): object {
    return {
      pm: tiers.#pm,
      abstractDistances: tiers.#abstractDistances,
      get tiers() {
        return tiers.#tiers;
      },
      set tiers(value) {
        tiers.#tiers = value;
      },
      get topTierAdistance() {
        return tiers.#topTierAdistance;
      },
      set topTierAdistance(value) {
        tiers.#topTierAdistance = value;
      },
      tierIndex: tiers.#tierIndex,
      preferred: tiers.#preferred,
    };
  }

  /**
   * `abstractDistances` by nid, positive integers (TI-1); read for nodes with memory only.
   */
  constructor(pm: PhysicalMemory, abstractDistances: ArrayLike<number>) {
    this.#pm = pm;
    this.#abstractDistances = abstractDistances;
    this.#tierIndex = new Int32Array(pm.nodes.length);
    this.#preferred = new Int32Array(pm.nodes.length);
    this.rebuild();
  }

  /** Fastest first. */
  get tiers(): readonly MemoryTier[] {
    return this.#tiers;
  }

  /** TI-7: after a node gained or lost memory or CPUs. */
  rebuild(): void {
    const { nodesWithMemory, nodesWithCpu, nodes } = this.#pm;
    const byId = new Map<number, MemoryTier>();
    for (let nid = 0; nid < nodes.length; nid++) {
      if ((nodesWithMemory & (1 << nid)) === 0) continue;
      const id = Math.floor(this.#abstractDistances[nid] / MEMTIER_CHUNK_SIZE);
      const tier = byId.get(id) ?? {
        id,
        adistanceStart: id * MEMTIER_CHUNK_SIZE,
        nodes: 0,
        lowerTierMask: 0,
      };
      tier.nodes |= 1 << nid;
      byId.set(id, tier);
    }
    this.#tiers = [...byId.values()].sort((a, b) => a.id - b.id);
    this.#tierIndex.fill(-1);
    this.#preferred.fill(0);
    this.#topTierAdistance = 0;
    let lower = nodesWithMemory;
    this.#tiers.forEach((tier, index) => {
      lower &= ~tier.nodes;
      tier.lowerTierMask = lower;
      if ((tier.nodes & nodesWithCpu) !== 0) {
        this.#topTierAdistance = tier.adistanceStart + MEMTIER_CHUNK_SIZE - 1;
      }
      for (let nid = 0; nid < nodes.length; nid++) {
        if ((tier.nodes & (1 << nid)) !== 0) this.#tierIndex[nid] = index;
      }
    });
    for (let nid = 0; nid < nodes.length; nid++) this.#preferred[nid] = this.#nearestBelow(nid);
  }

  /** Tier id of a node with memory, -1 without. */
  tierOf(nid: Nid): number {
    const index = this.#tierIndex[nid];
    return index < 0 ? -1 : this.#tiers[index].id;
  }

  /** node_is_toptier: promotion away from it makes no sense (TI-6). Nodes without tier are. */
  isToptier(nid: Nid): boolean {
    const index = this.#tierIndex[nid];
    return index < 0 || this.#tiers[index].adistanceStart <= this.#topTierAdistance;
  }

  /** Preferred demotion targets, bit mask; 0 = none (TI-4). Demotion picks one at random. */
  preferredTargets(nid: Nid): number {
    return this.#preferred[nid];
  }

  /** All nodes in slower tiers, bit mask: where demotion may go at all. */
  lowerTierMask(nid: Nid): number {
    const index = this.#tierIndex[nid];
    return index < 0 ? 0 : this.#tiers[index].lowerTierMask;
  }

  /** The nodes of the next slower tier that are equally near. */
  #nearestBelow(nid: Nid): number {
    const index = this.#tierIndex[nid];
    if (index < 0 || index === this.#tiers.length - 1) return 0;
    return nearestNodes(this.#pm.graph, nid, this.#tiers[index + 1].nodes);
  }
}
