/**
 * Which sizes of transparent huge pages a fault may use: the setting for all sizes
 * (/sys/kernel/mm/transparent_hugepage/enabled) and one per size that may follow it
 * (hugepages-*kB/enabled; mm/huge_memory.c: anon_enabled_store). OV-31b.
 *
 * At boot 2 MiB follow the setting for all sizes and smaller sizes are off. What faults read is
 * derived: sysctl.thp_enabled for 2 MiB, sysctl.mthpAlways and mthpMadvise for the others.
 */
import { HPAGE_PMD_ORDER, type Order } from '../base/units.ts';
import { EINVAL } from '../uapi/errno.ts';
import type { Kernel } from './kernel.ts';

export type ThpEnabled = 'always' | 'madvise' | 'never';
export type ThpSetting = 'always' | 'inherit' | 'madvise' | 'never';

export const THP_ENABLED: readonly ThpEnabled[] = ['always', 'madvise', 'never'];
export const THP_SETTINGS: readonly ThpSetting[] = ['always', 'inherit', 'madvise', 'never'];

/** The smallest order of an anonymous large folio. */
export const THP_ORDER_MIN = 2;

/** By order; those below THP_ORDER_MIN are not used. */
export function bootThpSettings(): ThpSetting[] {
  const settings = new Array<ThpSetting>(HPAGE_PMD_ORDER + 1).fill('never');
  settings[HPAGE_PMD_ORDER] = 'inherit';
  return settings;
}

/** A write to transparent_hugepage/enabled. Returns 0 or -EINVAL. */
export function setThpEnabled(k: Kernel, value: string): number {
  const enabled = THP_ENABLED.find((candidate) => candidate === value);
  if (enabled === undefined) return -EINVAL;
  k.sysctl.thpForAll = enabled;
  derive(k);
  return 0;
}

/** A write to hugepages-*kB/enabled of one order. Returns 0 or -EINVAL. */
export function setThpOfOrder(k: Kernel, order: Order, value: string): number {
  const setting = THP_SETTINGS.find((candidate) => candidate === value);
  if (setting === undefined || order < THP_ORDER_MIN || order > HPAGE_PMD_ORDER) return -EINVAL;
  k.sysctl.thpOfOrder[order] = setting;
  derive(k);
  return 0;
}

function derive(k: Kernel): void {
  const { sysctl } = k;
  const effective = sysctl.thpOfOrder.map((own) => (own === 'inherit' ? sysctl.thpForAll : own));
  sysctl.thp_enabled = effective[HPAGE_PMD_ORDER] as ThpEnabled;
  sysctl.mthpAlways = 0;
  sysctl.mthpMadvise = 0;
  for (let order = THP_ORDER_MIN; order < HPAGE_PMD_ORDER; order++) {
    if (effective[order] === 'always') sysctl.mthpAlways |= 1 << order;
    if (effective[order] === 'madvise') sysctl.mthpMadvise |= 1 << order;
  }
}
