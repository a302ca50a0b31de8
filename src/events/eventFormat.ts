/**
 * The text of each tracepoint's event, as TP_printk of include/trace/events/ writes it (migrate.h,
 * thp.h, vmscan.h, compaction.h), and which events of a pair begin and end a stretch of work.
 *
 * A format names fields in braces: {order}, or {mode:mode} for what stands for a word.
 */
import { assert } from '../base/assert.ts';
import { type SymbolKind, symbolText } from './symbols.ts';

const MIGRATION_PTE = 'addr={addr:hex}, pte={pte:hex} order={order}';
const RECLAIM_BEGIN = 'order={order} gfp_flags={gfp_flags:gfp}';
const RECLAIM_END = 'nr_reclaimed={nr_reclaimed}';

const ISOLATE =
  'range=(0x{start_pfn:hex} ~ 0x{end_pfn:hex}) nr_scanned={nr_scanned} nr_taken={nr_taken}';
const SCANNERS =
  'zone_start=0x{zone_start:hex} migrate_pfn=0x{migrate_pfn:hex} free_pfn=0x{free_pfn:hex} ' +
  'zone_end=0x{zone_end:hex}, mode={sync:sync}';
const SUITABLE = 'node={nid} zone={idx:zone} order={order} ret={ret:compact}';
const DEFER =
  'node={nid} zone={idx:zone} order={order} order_failed={order_failed} ' +
  'consider={considered} limit={defer_shift:limit}';
const KCOMPACTD_WAKE = 'nid={nid} order={order} classzone_idx={highest_zoneidx:zone}';

/** By `system:event`. */
const FORMATS: Readonly<Record<string, string>> = {
  'migrate:mm_migrate_pages':
    'nr_succeeded={succeeded} nr_failed={failed} nr_thp_succeeded={thp_succeeded} ' +
    'nr_thp_failed={thp_failed} nr_thp_split={thp_split} nr_split={large_folio_split} ' +
    'mode={mode:mode} reason={reason:reason}',
  'migrate:mm_migrate_pages_start': 'mode={mode:mode} reason={reason:reason}',
  'migrate:set_migration_pte': MIGRATION_PTE,
  'migrate:remove_migration_pte': MIGRATION_PTE,
  'thp:set_migration_pmd': 'addr={addr:hex}, pmd={pmd:hex}',
  'thp:remove_migration_pmd': 'addr={addr:hex}, pmd={pmd:hex}',
  'vmscan:mm_vmscan_wakeup_kswapd': 'nid={nid} order={order} gfp_flags={gfp_flags:gfp}',
  'vmscan:mm_vmscan_kswapd_wake': 'nid={nid} order={order}',
  'vmscan:mm_vmscan_kswapd_sleep': 'nid={nid}',
  'vmscan:mm_vmscan_direct_reclaim_begin': RECLAIM_BEGIN,
  'vmscan:mm_vmscan_direct_reclaim_end': RECLAIM_END,
  'vmscan:mm_vmscan_memcg_reclaim_begin': RECLAIM_BEGIN,
  'vmscan:mm_vmscan_memcg_reclaim_end': RECLAIM_END,
  'vmscan:mm_vmscan_node_reclaim_begin': `nid={nid} ${RECLAIM_BEGIN}`,
  'vmscan:mm_vmscan_node_reclaim_end': RECLAIM_END,
  'vmscan:mm_vmscan_lru_isolate':
    'classzone={highest_zoneidx} order={order} nr_requested={nr_requested} ' +
    'nr_scanned={nr_scanned} nr_skipped={nr_skipped} nr_taken={nr_taken} lru={lru:lru}',
  'vmscan:mm_vmscan_lru_shrink_inactive':
    'nid={nid} nr_scanned={nr_scanned} nr_reclaimed={nr_reclaimed} nr_dirty={nr_dirty} ' +
    'nr_writeback={nr_writeback} nr_congested={nr_congested} nr_immediate={nr_immediate} ' +
    'nr_activate_anon={nr_activate0} nr_activate_file={nr_activate1} ' +
    'nr_ref_keep={nr_ref_keep} nr_unmap_fail={nr_unmap_fail} priority={priority} ' +
    'flags={reclaim_flags:reclaim}',
  'vmscan:mm_vmscan_lru_shrink_active':
    'nid={nid} nr_taken={nr_taken} nr_active={nr_active} nr_deactivated={nr_deactivated} ' +
    'nr_referenced={nr_referenced} priority={priority} flags={reclaim_flags:reclaim}',
  'compaction:mm_compaction_isolate_migratepages': ISOLATE,
  'compaction:mm_compaction_isolate_freepages': ISOLATE,
  'compaction:mm_compaction_migratepages': 'nr_migrated={nr_migrated} nr_failed={nr_failed}',
  'compaction:mm_compaction_begin': SCANNERS,
  'compaction:mm_compaction_end': `${SCANNERS} status={status:compact}`,
  'compaction:mm_compaction_try_to_compact_pages':
    'order={order} gfp_mask={gfp_mask:gfp} priority={prio}',
  'compaction:mm_compaction_suitable': SUITABLE,
  'compaction:mm_compaction_finished': SUITABLE,
  'compaction:mm_compaction_deferred': DEFER,
  'compaction:mm_compaction_defer_compaction': DEFER,
  'compaction:mm_compaction_defer_reset': DEFER,
  'compaction:mm_compaction_kcompactd_sleep': 'nid={nid}',
  'compaction:mm_compaction_kcompactd_wake': KCOMPACTD_WAKE,
  'compaction:mm_compaction_wakeup_kcompactd': KCOMPACTD_WAKE,
};

/** First event -> the event that ends what it begins, on the same task. */
const PAIRS: Readonly<Record<string, string>> = {
  'migrate:mm_migrate_pages_start': 'migrate:mm_migrate_pages',
  'vmscan:mm_vmscan_kswapd_wake': 'vmscan:mm_vmscan_kswapd_sleep',
  'vmscan:mm_vmscan_direct_reclaim_begin': 'vmscan:mm_vmscan_direct_reclaim_end',
  'vmscan:mm_vmscan_memcg_reclaim_begin': 'vmscan:mm_vmscan_memcg_reclaim_end',
  'vmscan:mm_vmscan_node_reclaim_begin': 'vmscan:mm_vmscan_node_reclaim_end',
  'compaction:mm_compaction_begin': 'compaction:mm_compaction_end',
  'compaction:mm_compaction_kcompactd_wake': 'compaction:mm_compaction_kcompactd_sleep',
};

const ENDS: ReadonlySet<string> = new Set(Object.values(PAIRS));

export type EventRole = 'begins' | 'ends' | 'instant';

/** What an event is to the stretches of work of its task. */
export function roleOf(name: string): EventRole {
  if (name in PAIRS) return 'begins';
  return ENDS.has(name) ? 'ends' : 'instant';
}

interface Piece {
  /** Text before the field. */
  readonly before: string;
  /** Index of the field, -1 behind the last. */
  readonly field: number;
  readonly kind: SymbolKind | null;
}

/** How one tracepoint prints its values. */
export class EventFormat {
  /** `system:event`. */
  readonly name: string;
  readonly fields: readonly string[];
  readonly role: EventRole;
  readonly #pieces: readonly Piece[];

  /** Preconditions: the event is one of those above, with these fields. */
  constructor(name: string, fields: readonly string[]) {
    assert(name in FORMATS, `no format for the tracepoint ${name}`);
    this.name = name;
    this.fields = fields;
    this.role = roleOf(name);
    this.#pieces = parseFormat(FORMATS[name], fields);
  }

  /** migrate, thp, vmscan. */
  get system(): string {
    return this.name.slice(0, this.name.indexOf(':'));
  }

  /** The event without its system, as in a line of ftrace. */
  get event(): string {
    return this.name.slice(this.name.indexOf(':') + 1);
  }

  /** What stands behind the event's name in a line. */
  text(values: readonly number[]): string {
    let text = '';
    for (const { before, field, kind } of this.#pieces) {
      text += before;
      if (field >= 0) text += kind === null ? values[field] : symbolText(kind, values[field]);
    }
    return text;
  }

  /** The value of a field as it is printed: a word where it stands for one. */
  valueOf(field: number, values: readonly number[]): string | number {
    const kind = this.#pieces.find((piece) => piece.field === field)?.kind ?? null;
    if (kind === null) return values[field];
    const text = symbolText(kind, values[field]);
    if (kind === 'limit') return values[field];
    return kind === 'hex' ? `0x${text}` : text.trimEnd();
  }
}

function parseFormat(format: string, fields: readonly string[]): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of format.matchAll(/\{(\w+)(?::(\w+))?\}/g)) {
    const field = fields.indexOf(match[1]);
    assert(field >= 0, `the tracepoint has no field ${match[1]}`);
    const before = format.slice(end, match.index);
    pieces.push({ before, field, kind: (match[2] as SymbolKind | undefined) ?? null });
    end = match.index + match[0].length;
  }
  return [...pieces, { before: format.slice(end), field: -1, kind: null }];
}
