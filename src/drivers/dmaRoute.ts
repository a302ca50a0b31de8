/**
 * How a device reaches a page that hmm_range_fault told it of: hmm_dma_map_pfn (mm/hmm.c,
 * 6.16) with pci_p2pdma_map_type (drivers/pci/p2pdma.c). DM-15, DM-90, DM-92.
 *
 * Not modelled: IOMMU page tables; bus addresses as numbers.
 */
import type { FrameId } from '../base/units.ts';
import { isDevicePrivate, isPciP2pdma, type Kernel } from '../mm/index.ts';
import { EREMOTEIO } from '../uapi/errno.ts';

/** Where a device is plugged in: its switch (-1 = none) and its host bridge. */
export interface PciPlace {
  readonly switchId: number;
  readonly hostBridge: number;
  /** Of a provider: host bridges that pass peer traffic on (pci_p2pdma_whitelist). */
  readonly allowedBridges?: ReadonlySet<number>;
}

/** enum pci_p2pdma_map_type. */
export type P2pMapType = 'NOT_SUPPORTED' | 'BUS_ADDR' | 'THRU_HOST_BRIDGE';

/** pci_p2pdma_map_type: how `client` reaches memory of `provider`. */
export function p2pMapType(provider: PciPlace, client: PciPlace): P2pMapType {
  const { switchId, hostBridge, allowedBridges } = provider;
  if (switchId >= 0 && client.switchId === switchId) return 'BUS_ADDR';
  const isAllowed =
    allowedBridges?.has(hostBridge) === true && allowedBridges.has(client.hostBridge);
  return isAllowed ? 'THRU_HOST_BRIDGE' : 'NOT_SUPPORTED';
}

/** A device that has a place on the bus; without one nothing is in its way. */
interface Plugged {
  readonly place?: PciPlace;
}

/** Host memory, or P2P memory by one of its two ways. */
export type DmaRoute = 'HOST' | 'BUS_ADDR' | 'THRU_HOST_BRIDGE';

/** hmm_dma_map_pfn: how a device at `client` reaches a page, or -EREMOTEIO: not at all. */
export function hmmDmaMapPfn(
  k: Kernel,
  client: PciPlace | undefined,
  page: FrameId,
): DmaRoute | number {
  if (!isPciP2pdma(k, page) && !isDevicePrivate(k, page)) return 'HOST';
  const { place } = k.devices.pagemapOf(page).owner as Plugged;
  if (place === undefined || client === undefined) return 'BUS_ADDR';
  const type = p2pMapType(place, client);
  return type === 'NOT_SUPPORTED' ? -EREMOTEIO : type;
}
