/**
 * How tracepoints print numbers that stand for words (__print_symbolic, __print_flags of
 * include/trace/events/): modes, reasons, zones, LRU lists, allocation and reclaim flags.
 */
import { RECLAIM_WB_ANON, RECLAIM_WB_ASYNC, RECLAIM_WB_FILE } from '../mm/index.ts';
import * as gfp from '../uapi/gfp.ts';
import { MIGRATE_MODE_NAMES, MIGRATE_REASON_NAMES } from '../uapi/migrate.ts';
import { ZONE_NAMES } from '../uapi/zone.ts';

type FlagName = readonly [mask: number, name: string];

/** In the order of include/trace/events/mmflags.h: combinations first. */
const GFP_NAMES: readonly FlagName[] = [
  [gfp.GFP_TRANSHUGE, 'GFP_TRANSHUGE'],
  [gfp.GFP_TRANSHUGE_LIGHT, 'GFP_TRANSHUGE_LIGHT'],
  [gfp.GFP_HIGHUSER_MOVABLE, 'GFP_HIGHUSER_MOVABLE'],
  [gfp.GFP_HIGHUSER, 'GFP_HIGHUSER'],
  [gfp.GFP_USER, 'GFP_USER'],
  [gfp.GFP_KERNEL | gfp.__GFP_ACCOUNT, 'GFP_KERNEL_ACCOUNT'],
  [gfp.GFP_KERNEL, 'GFP_KERNEL'],
  [gfp.__GFP_RECLAIM | gfp.__GFP_IO, 'GFP_NOFS'],
  [gfp.GFP_ATOMIC, 'GFP_ATOMIC'],
  [gfp.__GFP_RECLAIM, 'GFP_NOIO'],
  [gfp.GFP_NOWAIT, 'GFP_NOWAIT'],
  [gfp.__GFP_DMA, 'GFP_DMA'],
  [gfp.__GFP_DMA32, 'GFP_DMA32'],
  [gfp.__GFP_HIGHMEM, '__GFP_HIGHMEM'],
  [gfp.__GFP_MOVABLE, '__GFP_MOVABLE'],
  [gfp.__GFP_RECLAIMABLE, '__GFP_RECLAIMABLE'],
  [gfp.__GFP_HIGH, '__GFP_HIGH'],
  [gfp.__GFP_IO, '__GFP_IO'],
  [gfp.__GFP_FS, '__GFP_FS'],
  [gfp.__GFP_DIRECT_RECLAIM, '__GFP_DIRECT_RECLAIM'],
  [gfp.__GFP_KSWAPD_RECLAIM, '__GFP_KSWAPD_RECLAIM'],
  [gfp.__GFP_NOWARN, '__GFP_NOWARN'],
  [gfp.__GFP_RETRY_MAYFAIL, '__GFP_RETRY_MAYFAIL'],
  [gfp.__GFP_NOFAIL, '__GFP_NOFAIL'],
  [gfp.__GFP_NORETRY, '__GFP_NORETRY'],
  [gfp.__GFP_COMP, '__GFP_COMP'],
  [gfp.__GFP_HARDWALL, '__GFP_HARDWALL'],
  [gfp.__GFP_THISNODE, '__GFP_THISNODE'],
  [gfp.__GFP_ACCOUNT, '__GFP_ACCOUNT'],
  [gfp.__GFP_MEMALLOC, '__GFP_MEMALLOC'],
  [gfp.__GFP_NOMEMALLOC, '__GFP_NOMEMALLOC'],
];

const RECLAIM_NAMES: readonly FlagName[] = [
  [RECLAIM_WB_ANON, 'RECLAIM_WB_ANON'],
  [RECLAIM_WB_FILE, 'RECLAIM_WB_FILE'],
  [RECLAIM_WB_ASYNC, 'RECLAIM_WB_ASYNC'],
];

/** By value of enum compact_result. */
const COMPACTION_STATUS = [
  'not_suitable_zone',
  'skipped',
  'deferred',
  'no_suitable_page',
  'continue',
  'complete',
  'partial_skipped',
  'contended',
  'success',
];

const LRU_NAMES = ['inactive_anon', 'active_anon', 'inactive_file', 'active_file', 'unevictable'];

/** What a number is in the text of an event; the name of a field's kind. */
export type SymbolKind =
  | 'mode'
  | 'reason'
  | 'zone'
  | 'lru'
  | 'gfp'
  | 'reclaim'
  | 'compact'
  | 'sync'
  | 'limit'
  | 'hex';

export function symbolText(kind: SymbolKind, value: number): string {
  switch (kind) {
    case 'mode':
      return named(MIGRATE_MODE_NAMES, value);
    case 'reason':
      return named(MIGRATE_REASON_NAMES, value);
    case 'zone':
      return named(ZONE_NAMES, value).padEnd(8);
    case 'compact':
      return named(COMPACTION_STATUS, value);
    case 'sync':
      return value === 0 ? 'async' : 'sync';
    case 'limit':
      return String(2 ** value);
    case 'lru':
      return named(LRU_NAMES, value);
    case 'gfp':
      return value === 0 ? 'none' : flagsText(GFP_NAMES, value);
    case 'reclaim':
      return value === 0 ? 'RECLAIM_WB_NONE' : flagsText(RECLAIM_NAMES, value);
    case 'hex':
      return value.toString(16);
  }
}

/** __print_symbolic: a number without a name is printed in hexadecimal. */
function named(names: readonly string[], value: number): string {
  return names[value] ?? `0x${value.toString(16)}`;
}

/** __print_flags: each name whose bits are all left takes them; the rest in hexadecimal. */
function flagsText(names: readonly FlagName[], value: number): string {
  const parts: string[] = [];
  let left = value;
  for (const [mask, name] of names) {
    if ((left & mask) !== mask) continue;
    parts.push(name);
    left &= ~mask;
  }
  if (left !== 0) parts.push(`0x${left.toString(16)}`);
  return parts.join('|');
}
