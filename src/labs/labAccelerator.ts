/**
 * The accelerator of a lab: what labs do not vary, and its way to a program. A device that does not
 * come up, or that a program cannot open, is a bug of the lab.
 */
import { assert } from '../base/assert.ts';
import { PAGES_PER_SECTION, type Pfn } from '../base/units.ts';
import {
  type Accelerator,
  AcceleratorContext,
  type AcceleratorSpec,
  COUNTER_THRESHOLD_DEFAULT,
} from '../drivers/index.ts';
import { DEVICE_COST_DEFAULTS } from '../hw/index.ts';
import type { Task } from '../mm/index.ts';

export const LAB_ACCELERATOR: AcceleratorSpec = {
  name: 'lab',
  nid: 0,
  nrPages: PAGES_PER_SECTION,
  placement: 'fault',
  rangePages: 16,
  counterThreshold: COUNTER_THRESHOLD_DEFAULT,
  splitsOnReturn: false,
  cost: DEVICE_COST_DEFAULTS,
};

/** The device with its memory, at `startPfn` or, -1, where there is room. */
export function probed<Device extends Accelerator>(device: Device, startPfn: Pfn = -1): Device {
  const ret = device.probe(startPfn);
  assert(ret === 0, 'a lab has room for its device', ret);
  return device;
}

/** The device as a living process has it. */
export function opened(device: Accelerator, task: Task): AcceleratorContext {
  const context = AcceleratorContext.open(device, task);
  assert(typeof context !== 'number', 'a living process opens a device');
  return context;
}
