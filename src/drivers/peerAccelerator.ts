/**
 * An accelerator whose private memory other devices reach, too: experimental (device_peer_ranges),
 * Linux sends the page home instead. The same bytes then have the page that the CPU's entry names
 * (private) and what the peer holds, and somebody must keep their lifetimes together. D10, DM-91,
 * DM-92. Four ways:
 *
 *   unsynced    two pages that know nothing of each other
 *   freed-last  the bytes are free when both pages are
 *   one-count   what the peer holds is a reference of the private page
 *   ranges      no second page: the peer has a range that is revoked when the private page goes
 *
 * Order: data that goes home is copied before its page is freed, so a range that is revoked then
 * has lost nothing: nobody writes between the two.
 */
import type { FrameId, Order } from '../base/units.ts';
import { devicePageStore, type Kernel } from '../mm/index.ts';
import { EFAULT, ENOENT, EOPNOTSUPP } from '../uapi/errno.ts';
import type { AcceleratorSpec } from './accelerator.ts';
import type { AcceleratorContext } from './acceleratorContext.ts';
import { PrivateAccelerator } from './privateAccelerator.ts';

export const PEER_SCHEMES = ['unsynced', 'freed-last', 'one-count', 'ranges'] as const;
export type PeerScheme = (typeof PEER_SCHEMES)[number];

/** One page of the device's memory, as a peer has it. */
export interface PeerMapping {
  readonly frame: FrameId;
  isRevoked: boolean;
}

export class PeerAccelerator extends PrivateAccelerator {
  readonly scheme: PeerScheme;
  /** Mappings of peers that are not given back, by page. */
  readonly peers: Map<FrameId, PeerMapping[]> = new Map();
  /** Folios whose private page is gone and whose second page is not -> order. */
  readonly held: Map<FrameId, Order> = new Map();
  revocations = 0;

  constructor(k: Kernel, spec: AcceleratorSpec, scheme: PeerScheme) {
    super(k, spec);
    this.scheme = scheme;
  }

  /**
   * A peer gets the page at `vpn` of a process, or -EOPNOTSUPP (not switched on), -ENOENT (the page
   * is not on this device).
   */
  peerMap(context: AcceleratorContext, vpn: number): PeerMapping | number {
    if (!this.k.hasExperimental('device_peer_ranges')) return -EOPNOTSUPP;
    const entry = context.table.get(vpn);
    const frame = entry === undefined ? -1 : Math.floor(entry / 2);
    if (frame < 0 || !this.owns(frame)) return -ENOENT;
    const mapping = { frame, isRevoked: false };
    const others = this.peers.get(frame);
    if (others === undefined) this.peers.set(frame, [mapping]);
    else others.push(mapping);
    if (this.scheme === 'one-count') this.k.folios.get(this.k.frames.headOf(frame));
    return mapping;
  }

  /** DMA of the peer: 0, or -EFAULT after the range was revoked. */
  peerStore(mapping: PeerMapping, word: number): number {
    if (mapping.isRevoked) return -EFAULT;
    devicePageStore(this.k, mapping.frame, word);
    return 0;
  }

  /** The peer is done. */
  peerUnmap(mapping: PeerMapping): void {
    if (mapping.isRevoked) return;
    const { frame } = mapping;
    const left = this.peers.get(frame)!.filter((other) => other !== mapping);
    if (left.length > 0) this.peers.set(frame, left);
    else this.peers.delete(frame);
    if (this.scheme === 'one-count') this.k.putFolio(this.k.frames.headOf(frame));
    if (left.length === 0) this.#freeHeld(frame);
  }

  #freeHeld(frame: FrameId): void {
    for (const [head, order] of this.held) {
      if (frame < head || frame >= head + (1 << order) || this.#hasPeers(head, order)) continue;
      this.held.delete(head);
      super.folioFree(head, order);
    }
  }

  #hasPeers(head: FrameId, order: Order): boolean {
    for (let page = head; page < head + (1 << order); page++) if (this.peers.has(page)) return true;
    return false;
  }

  override folioFree(head: FrameId, order: Order): void {
    if (this.scheme === 'freed-last' && this.#hasPeers(head, order)) {
      this.held.set(head, order);
      this.pages.used.delete(head);
      return;
    }
    if (this.scheme === 'ranges') {
      for (let page = head; page < head + (1 << order); page++) this.#revoke(page);
    }
    super.folioFree(head, order);
  }

  #revoke(page: FrameId): void {
    for (const mapping of this.peers.get(page) ?? []) {
      mapping.isRevoked = true;
      this.revocations++;
    }
    this.peers.delete(page);
  }
}
