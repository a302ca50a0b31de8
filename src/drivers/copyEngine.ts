/**
 * A device's copy engine and its link: a queue a direction, so that copies wait for each other and
 * directions do not (full duplex). Time is the device's; whoever copies is told when it is done.
 */
import { type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import { type DeviceCostSpec, deviceCopyNs } from '../hw/index.ts';

export class CopyEngine {
  readonly cost: DeviceCostSpec;
  /** When the link is free again, to the device and from it. */
  toDeviceFreeNs: Nanoseconds = 0;
  fromDeviceFreeNs: Nanoseconds = 0;
  bytesToDevice = 0;
  bytesFromDevice = 0;
  /** Contiguous pieces copied. */
  pieces = 0;

  constructor(cost: DeviceCostSpec) {
    this.cost = cost;
  }

  /** `pages` pages in `pieces` pieces, asked for at `nowNs`: how long until all is there. */
  copy(nowNs: Nanoseconds, isToDevice: boolean, pages: number, pieces: number): Nanoseconds {
    if (pages === 0) return 0;
    const bytes = pages * PAGE_SIZE;
    const freeNs = isToDevice ? this.toDeviceFreeNs : this.fromDeviceFreeNs;
    const doneNs = Math.max(nowNs, freeNs) + deviceCopyNs(this.cost, bytes, pieces);
    this.pieces += pieces;
    if (isToDevice) {
      this.bytesToDevice += bytes;
      this.toDeviceFreeNs = doneNs;
    } else {
      this.bytesFromDevice += bytes;
      this.fromDeviceFreeNs = doneNs;
    }
    return doneNs - nowNs;
  }
}
