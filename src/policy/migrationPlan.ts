/**
 * What a policy wants: an append-only table of migrations, of fixed capacity. Rows are carried out
 * in order; a row that demotes to make room stands before the one that needs the room. A row can
 * also ask for large folios to be split where they are.
 *
 * A row names its pages virtually (pid, vpn, nrPages), which stays true wherever they are, or
 * physically (pfn, nrPages, generation), which may have become false: the generation tells
 * (-ESTALE, PP-60..PP-67). Pages not present, and pages already there, are no error.
 */
import { assert } from '../base/assert.ts';
import type { Nid, Pfn, Vpn } from '../base/units.ts';

export const KEY_VIRTUAL = 0;
export const KEY_PHYSICAL = 1;

/** Why a row is in a plan; for reports. */
export const REASON_PROMOTE = 0;
export const REASON_DEMOTE = 1;
/** Keeping free memory in a fast node. */
export const REASON_RESERVE = 2;
export const REASON_BALANCE = 3;
/** So that parts of a large folio can go different ways. */
export const REASON_SPLIT = 4;
export const REASON_NAMES = ['promote', 'demote', 'reserve', 'balance', 'split'] as const;

/** Migrates as move_pages does. */
export const ACTION_MIGRATE = 0;
/**
 * Migrates by a transaction (Nomad, TI-71): pages stay mapped while they are copied, written ones
 * answer -EAGAIN. Linux cannot; other hosts than the simulator refuse.
 */
export const ACTION_TRANSACT = 1;
/**
 * Splits large folios to base pages where they are (TI-55). No system call does that: a real host
 * writes "PID,0xSTART,0xEND,0" (bytes) to /sys/kernel/debug/split_huge_pages, which needs debugfs
 * and root and tells no status; it learns from the next walk what came of it.
 */
export const ACTION_SPLIT = 2;

/** generation of a physical row: do not check. */
export const GENERATION_UNCHECKED = 0;

export class MigrationPlan {
  readonly capacity: number;
  nrRows = 0;
  /** Sum of the rows' nrPages. */
  nrPagesTotal = 0;
  /** KEY_*. */
  readonly keyKind: Uint8Array;
  /** -1 in physical rows. */
  readonly pid: Int32Array;
  /** VPN or PFN of the first page. */
  readonly page: Float64Array;
  readonly nrPages: Int32Array;
  readonly generation: Uint32Array;
  /** -1 in rows that split. */
  readonly targetNid: Int8Array;
  /** REASON_*. */
  readonly reason: Uint8Array;
  /** ACTION_*. */
  readonly action: Uint8Array;

  constructor(capacity: number) {
    assert(capacity > 0, `a plan of ${capacity} rows`);
    this.capacity = capacity;
    this.keyKind = new Uint8Array(capacity);
    this.pid = new Int32Array(capacity);
    this.page = new Float64Array(capacity);
    this.nrPages = new Int32Array(capacity);
    this.generation = new Uint32Array(capacity);
    this.targetNid = new Int8Array(capacity);
    this.reason = new Uint8Array(capacity);
    this.action = new Uint8Array(capacity);
  }

  get isFull(): boolean {
    return this.nrRows === this.capacity;
  }

  /** Pages [vpn, vpn + nrPages) of a process to `nid`. False, and nothing added, if full. */
  migrateVirtual(pid: number, vpn: Vpn, nrPages: number, nid: Nid, reason: number): boolean {
    return this.#add(KEY_VIRTUAL, pid, vpn, nrPages, 0, nid, reason);
  }

  /** Frames [pfn, pfn + nrPages), whose first has this generation, to `nid`. False if full. */
  migratePhysical(
    pfn: Pfn,
    nrPages: number,
    generation: number,
    nid: Nid,
    reason: number,
  ): boolean {
    return this.#add(KEY_PHYSICAL, -1, pfn, nrPages, generation, nid, reason);
  }

  /** As migrateVirtual, by a transaction. */
  migrateTransactional(pid: number, vpn: Vpn, nrPages: number, nid: Nid, reason: number): boolean {
    if (!this.migrateVirtual(pid, vpn, nrPages, nid, reason)) return false;
    this.action[this.nrRows - 1] = ACTION_TRANSACT;
    return true;
  }

  /** Large folios with pages in [vpn, vpn + nrPages) of a process are split. False if full. */
  splitVirtual(pid: number, vpn: Vpn, nrPages: number): boolean {
    if (!this.#add(KEY_VIRTUAL, pid, vpn, nrPages, 0, -1, REASON_SPLIT)) return false;
    this.action[this.nrRows - 1] = ACTION_SPLIT;
    return true;
  }

  clear(): void {
    this.nrRows = 0;
    this.nrPagesTotal = 0;
  }

  #add(
    kind: number,
    pid: number,
    page: number,
    nrPages: number,
    generation: number,
    nid: Nid,
    reason: number,
  ): boolean {
    const isPlaced = nid >= 0 || reason === REASON_SPLIT;
    assert(nrPages > 0 && isPlaced, `a plan row of ${nrPages} pages to node ${nid}`);
    if (this.isFull) return false;
    const row = this.nrRows++;
    this.keyKind[row] = kind;
    this.pid[row] = pid;
    this.page[row] = page;
    this.nrPages[row] = nrPages;
    this.generation[row] = generation;
    this.targetNid[row] = nid;
    this.reason[row] = reason;
    this.action[row] = ACTION_MIGRATE;
    this.nrPagesTotal += nrPages;
    return true;
  }
}
