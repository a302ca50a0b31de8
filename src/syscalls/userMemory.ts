/**
 * What a system call reads from and writes to the caller's memory, as far as it can fault:
 * get_user, put_user and copy_from_user of arrays and node masks (include/linux/uaccess.h;
 * mm/mempolicy.c: get_nodes, copy_nodes_to_user). MP-10, MP-12, MP-40, MP-50, MP-60.
 *
 * An array is accessible up to some element and faults from there on, as one does that ends at an
 * unmapped page; a bad pointer is accessible nowhere.
 *
 * Deviates: nodes from MAX_NUMNODES (32) on are refused; a distribution's kernel has 64 or 1024.
 * Not modelled: compat pointers, address tags (LAM).
 */
import { PAGE_SIZE } from '../base/units.ts';
import { EFAULT, EINVAL } from '../uapi/errno.ts';
import { MAX_NUMNODES } from '../uapi/mempolicy.ts';

/** Addresses in bytes; up to 47 bits, hence doubles. */
export class UserAddresses {
  readonly #cells: Float64Array;
  readonly #accessible: number;

  constructor(cells: Float64Array, accessible: number = cells.length) {
    this.#cells = cells;
    this.#accessible = accessible;
  }

  faults(i: number): boolean {
    return i >= this.#accessible;
  }

  /** Preconditions: faults(i) is false. */
  get(i: number): number {
    return this.#cells[i];
  }
}

/** An int array: nodes or status of move_pages. */
export class UserInts {
  readonly #cells: Int32Array;
  readonly #accessible: number;

  constructor(cells: Int32Array, accessible: number = cells.length) {
    this.#cells = cells;
    this.#accessible = accessible;
  }

  faults(i: number): boolean {
    return i >= this.#accessible;
  }

  /** Preconditions: faults(i) is false. */
  get(i: number): number {
    return this.#cells[i];
  }

  /** put_user: 0 or -EFAULT. */
  put(i: number, value: number): number {
    if (i >= this.#accessible) return -EFAULT;
    this.#cells[i] = value;
    return 0;
  }

  /** The same value into [start, end): 0, or -EFAULT with the accessible part written. */
  fill(start: number, end: number, value: number): number {
    this.#cells.fill(value, start, Math.min(end, this.#accessible));
    return end > this.#accessible && end > start ? -EFAULT : 0;
  }
}

/** Null and wild pointers: every access faults. */
export const BAD_ADDRESSES: UserAddresses = new UserAddresses(new Float64Array(0));
export const BAD_INTS: UserInts = new UserInts(new Int32Array(0));

/** A node mask argument: node numbers, a pointer that faults, or a null pointer. */
export interface UserNodeMask {
  readonly bits: readonly number[] | 'unreadable' | null;
  readonly maxnode: number;
}

/** A null mask pointer. */
export const NO_NODES: UserNodeMask = { bits: null, maxnode: 0 };

/** Bits of the longest mask the kernel reads. */
const MASK_BITS_MAX = PAGE_SIZE * 8;

/** What getNodes answers instead of a mask, which may have its sign bit set. */
export interface NodeMaskRead {
  readonly error: number;
  readonly nodes: number;
}

/** MP-60 (get_nodes): the mask, or error -EINVAL (too long, nodes that cannot be) or -EFAULT. */
export function getNodes(mask: UserNodeMask): NodeMaskRead {
  // The user counts one bit more than there is; 0 wraps around to more than any limit.
  const bits = mask.maxnode - 1;
  if (bits === 0 || mask.bits === null) return { error: 0, nodes: 0 };
  if (bits < 0 || bits > MASK_BITS_MAX) return { error: -EINVAL, nodes: 0 };
  if (mask.bits === 'unreadable') return { error: -EFAULT, nodes: 0 };
  let nodes = 0;
  for (const nid of mask.bits) {
    if (nid >= bits) continue;
    if (nid >= MAX_NUMNODES) return { error: -EINVAL, nodes: 0 };
    nodes |= 1 << nid;
  }
  return { error: 0, nodes };
}

/** The nodes of a mask word, ascending: how a mask is handed back to the caller. */
export function nodesOf(mask: number): number[] {
  const nodes: number[] = [];
  for (let nid = 0; nid < MAX_NUMNODES; nid++) if ((mask & (1 << nid)) !== 0) nodes.push(nid);
  return nodes;
}
