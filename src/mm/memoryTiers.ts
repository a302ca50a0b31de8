/** Memory tiers and demotion targets (mm/memory-tiers.c). TI-1..TI-8. */
import { InvariantError } from '../base/assert.ts';
import type { Nid } from '../base/units.ts';
import type { PhysicalMemory } from './physicalMemory.ts';

export interface MemoryTier {
  /** memory_tierN in sysfs: start of the abstract distances / 128. */
  readonly id: number;
  readonly adistanceStart: number;
  /** Nodes with memory, bit mask. */
  nodes: number;
  /** Nodes of all slower tiers. */
  lowerTierMask: number;
}

export class MemoryTiers {
  /** Fastest first. */
  declare readonly tiers: readonly MemoryTier[];

  /** `abstractDistances` by nid (TI-1, TI-2). */
  constructor(pm: PhysicalMemory, abstractDistances: readonly number[]) {
    throw new InvariantError(`not built yet: ${pm} ${abstractDistances}`);
  }

  /** TI-7: after nodes gained or lost memory or CPUs. */
  rebuild(): void {
    throw new InvariantError('not built yet');
  }

  /** Tier id of a node with memory, -1 without. */
  tierOf(nid: Nid): number {
    throw new InvariantError(`not built yet: ${nid}`);
  }

  /** node_is_toptier (TI-6). */
  isToptier(nid: Nid): boolean {
    throw new InvariantError(`not built yet: ${nid}`);
  }

  /** Preferred demotion targets, bit mask; 0 = none (TI-4). */
  preferredTargets(nid: Nid): number {
    throw new InvariantError(`not built yet: ${nid}`);
  }

  /** All nodes in lower tiers, bit mask: node_get_allowed_targets. */
  lowerTierMask(nid: Nid): number {
    throw new InvariantError(`not built yet: ${nid}`);
  }
}
