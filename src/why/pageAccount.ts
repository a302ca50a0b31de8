/**
 * Everything about one page that decides whether it moves: its entry and VMA, frame, folio, owners,
 * holders, the causes with rules and remedies, and what the calls would answer. Plain data.
 */
import { type FrameId, type Nid, PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  FAILURE_CAUSES,
  holdersOf,
  type Kernel,
  offlineObstacles,
  ownersOf,
  PG_LAZYFREE_BATCH,
  PG_LRU_BATCH,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
  pageAt,
  type Task,
} from '../mm/index.ts';
import { formatMapsArea, mapsAreaOf } from '../proc/index.ts';
import { MIGRATETYPE_NAMES } from '../uapi/zone.ts';
import { CAUSES, type Cause, type CauseName } from './causes.ts';
import { flagWords, folioKind } from './flagWords.ts';
import { compactionObstacle, extraRefs, folioObstacles, isolationObstacle } from './folioFate.ts';
import { ownerText } from './ownerText.ts';
import { type Answer, wouldMbind, wouldMovePages } from './wouldMove.ts';

export interface FolioAccount {
  readonly headPfn: number;
  readonly order: number;
  readonly pages: number;
  readonly kind: string;
  /** Memory of a program or file, whose references can be told; else kernel memory, free … */
  readonly isUser: boolean;
  readonly flags: readonly string[];
  readonly refcount: number;
  /** References that mappings and caches explain (OV-39). */
  readonly expectedRefs: number;
  /** The rest, without those of per-cpu batches; a pin of a small folio is 1024 (OV-15). */
  readonly extraRefs: number;
  readonly mapcount: number;
  /** May be DMA-pinned, as folio_maybe_dma_pinned guesses. */
  readonly maybePinned: boolean;
}

export interface FrameAccount {
  readonly pfn: number;
  readonly nid: Nid;
  readonly zone: string;
  /** '' of device memory. */
  readonly migratetype: string;
  /** -1 of device memory, which is in none (DM-54). */
  readonly block: number;
}

export interface HolderAccount {
  readonly kind: string;
  readonly name: string;
  readonly pids: readonly number[];
  readonly references: string;
}

export interface TellingCause extends Cause {
  readonly name: CauseName;
}

export interface PageAccount {
  /** As asked. */
  readonly place: string;
  /** The node asked about. */
  readonly toNode: Nid;
  /** Line of /proc/PID/maps; null without VMA or process. */
  readonly vma: string | null;
  readonly frame: FrameAccount | null;
  readonly folio: FolioAccount | null;
  readonly owners: readonly string[];
  readonly holders: readonly HolderAccount[];
  /** What is no obstacle to these calls, but to others, or will be undone by them. */
  readonly notes: readonly string[];
  /** What the failure log said last of the frame; '' if nothing. */
  readonly lastFailure: string;
  readonly causes: readonly TellingCause[];
  readonly would: readonly Answer[];
  /** Why compact_memory leaves it where it is; null = it may move it, or there is no folio. */
  readonly compaction: CauseName | null;
  /** What a write of "offline" to the frame's memory block would meet here; '' = it moves. */
  readonly offline: string;
}

/** The page of a process. `caller` makes the calls; `nid` -1: the nearest other node. */
export function whyAddress(k: Kernel, target: Task, caller: Task, vpn: Vpn, nid: Nid): PageAccount {
  const page = target.mm === null ? -1 : pageAt(k, target.mm, vpn);
  const toNode = nid >= 0 ? nid : otherNode(k, page);
  const question = { caller, target, vpn, nid: toNode };
  const would = [
    wouldMovePages(k, question, false),
    wouldMovePages(k, question, true),
    wouldMbind(k, target, vpn, toNode),
  ];
  const vma = target.mm?.findVma(vpn) ?? null;
  const place = `${target.pid}:0x${(vpn * PAGE_SIZE).toString(16)}`;
  const told = would.flatMap(({ cause }) => (cause === null ? [] : [cause]));
  return {
    ...accountOf(k, place, page, toNode, told),
    vma: vma === null ? null : formatMapsArea(mapsAreaOf(vma)).trimEnd(),
    would,
  };
}

/** A frame: the page of the first process that maps it, or what else it is. */
export function whyFrame(k: Kernel, pfn: number, caller: Task | null, nid: Nid): PageAccount {
  const place = `pfn:${pfn}`;
  const page = k.frames.frameOfPfn(pfn);
  const isThere = page >= 0 && (k.pm.isPresent(page) || k.pm.isZoneDevice(page));
  const owner = isThere ? ownersOf(k, page).find((one) => one.kind === 'process') : undefined;
  const target = owner?.kind === 'process' ? k.tasks.get(owner.pid) : undefined;
  const toNode = nid >= 0 ? nid : otherNode(k, isThere ? page : -1);
  if (owner?.kind !== 'process' || target === undefined) {
    const isFolio = isThere && isUserFolio(k, k.frames.headOf(page));
    const cause: CauseName = isFolio ? 'not-mapped-by-anybody' : 'no-user-page';
    return { ...accountOf(k, place, isThere ? page : -1, toNode, [cause]), vma: null, would: [] };
  }
  const offset = page - k.frames.headOf(page);
  const vpn = vpnOfPage(k, target, owner.vpn, page, offset);
  return { ...whyAddress(k, target, caller ?? target, vpn, nid), place };
}

/** The address of just this page of the folio, where the process maps it; else of its first. */
function vpnOfPage(k: Kernel, target: Task, first: Vpn, page: FrameId, offset: number): Vpn {
  const candidate = first + offset;
  return target.mm !== null && pageAt(k, target.mm, candidate) === page ? candidate : first;
}

function isUserFolio(k: Kernel, head: FrameId): boolean {
  const isFree = k.frames.refcount[head] <= 0 || k.frames.mapcount[head] < 0;
  return !isFree && (k.folios.isAnon(head) || k.folios.hasFileMapping(head));
}

/** The nearest node with memory that the page is not on. */
function otherNode(k: Kernel, page: FrameId): Nid {
  const here = page < 0 ? k.firstCpuNode() : k.pm.nidOf(page);
  const others = [...k.pm.nodes[here].fallbackOrder].filter((nid) => nid !== here);
  return others[0] ?? here;
}

function accountOf(
  k: Kernel,
  place: string,
  page: FrameId,
  toNode: Nid,
  told: readonly CauseName[],
): Omit<PageAccount, 'vma' | 'would'> {
  const isDevice = page >= 0 && k.pm.isZoneDevice(page);
  const isUser = page >= 0 && isUserFolio(k, k.frames.headOf(page));
  const found = isUser && !isDevice ? obstaclesOf(k, k.frames.headOf(page)) : [];
  const names = [...new Set([...told, ...found])];
  return {
    place,
    toNode,
    frame: page < 0 ? null : frameAccount(k, page),
    folio: page < 0 ? null : folioAccount(k, k.frames.headOf(page)),
    owners: page < 0 ? [] : ownersOf(k, page).map((owner) => ownerText(k, owner)),
    holders: page < 0 ? [] : holderAccounts(k, k.frames.headOf(page)),
    notes: isUser ? notesOf(k, k.frames.headOf(page)) : [],
    lastFailure: page < 0 ? '' : lastFailure(k, k.frames.headOf(page)),
    causes: names.map((name) => ({ name, ...CAUSES[name] })),
    compaction: isUser && !isDevice ? compactionObstacle(k, k.frames.headOf(page)) : null,
    offline: page < 0 || isDevice ? '' : offlineText(k, k.frames.headOf(page)),
  };
}

function obstaclesOf(k: Kernel, head: FrameId): CauseName[] {
  const isolation = isolationObstacle(k, head);
  const poison: CauseName[] = k.folios.containsPoison(head) ? ['hardware-poison'] : [];
  return [...(isolation === null ? [] : [isolation]), ...folioObstacles(k, head), ...poison];
}

function frameAccount(k: Kernel, page: FrameId): FrameAccount {
  const [pfn, nid] = [k.frames.pfnOf(page), k.pm.nidOf(page)];
  if (k.pm.isZoneDevice(page)) return { pfn, nid, zone: 'Device', migratetype: '', block: -1 };
  return {
    pfn,
    nid,
    zone: k.pm.zoneOf(page).name,
    migratetype: MIGRATETYPE_NAMES[k.pm.blocks.migratetypeOf(page)] ?? 'unknown',
    block: k.pm.memoryBlocks.blockOf(page),
  };
}

function folioAccount(k: Kernel, head: FrameId): FolioAccount {
  const isUser = isUserFolio(k, head);
  return {
    headPfn: k.frames.pfnOf(head),
    order: k.folios.isLarge(head) ? k.frames.orderOf(head) : 0,
    pages: k.folios.nrPages(head),
    kind: folioKind(k, head),
    isUser,
    flags: flagWords(k, head),
    refcount: k.frames.refcount[head],
    expectedRefs: isUser ? k.folios.expectedRefs(head) : 0,
    extraRefs: isUser ? extraRefs(k, head) : 0,
    mapcount: isUser ? k.folios.mapcount(head) : 0,
    maybePinned: isUser && k.folios.maybeDmaPinned(head),
  };
}

function holderAccounts(k: Kernel, head: FrameId): HolderAccount[] {
  return holdersOf(k, head).map(({ holder, times }) => ({
    kind: holder.kind,
    name: holder.name,
    pids: [...holder.pids],
    references: `${times} ${holder.isPin ? 'FOLL_PIN' : 'FOLL_GET'}`,
  }));
}

/** States that these calls wait for or undo, and others do not. */
function notesOf(k: Kernel, head: FrameId): string[] {
  const flags = k.frames.flags[head];
  const notes: string[] = [];
  if ((flags & (PG_LRU_BATCH | PG_LAZYFREE_BATCH)) !== 0) {
    notes.push('in a per-cpu batch, which holds a reference: these calls drain it first (MC-8)');
  }
  if ((flags & PG_WRITEBACK) !== 0) {
    notes.push('under writeback: these calls wait for it, asynchronous ones get -EBUSY (MC-17)');
  }
  if ((flags & PG_MLOCKED) !== 0) notes.push('mlocked: migration may move it, reclaim may not');
  else if ((flags & PG_UNEVICTABLE) !== 0) {
    notes.push('unevictable: migration may move it, reclaim may not');
  }
  if (k.folios.isKsm(head)) notes.push('merged by KSM: unmerging gives each process its own page');
  return notes;
}

function lastFailure(k: Kernel, head: FrameId): string {
  const cause = k.failures.lastCauseOf(head);
  return cause < 0 ? '' : FAILURE_CAUSES[cause];
}

function offlineText(k: Kernel, head: FrameId): string {
  const [obstacle] = offlineObstacles(k, head, head + k.folios.nrPages(head));
  return obstacle === undefined ? '' : `${obstacle.kind}: ${obstacle.effect}`;
}
