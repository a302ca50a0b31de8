/**
 * Plays one operation record on kernel and model. Throws Mismatch when the kernel's answer is one
 * that the model does not allow; running out of memory is allowed everywhere, if nothing is lost.
 */

import type { Operation } from './operations.ts';
import { playDevice } from './playDevices.ts';
import { playMemory } from './playMemory.ts';
import { playPhysical } from './playPhysical.ts';
import { playSpace } from './playSpace.ts';
import type { World } from './world.ts';

export function play(w: World, operation: Operation): void {
  if (w.processes.length === 0) w.spawn(0);
  if (operation.op === 'device') playDevice(w, operation);
  else if (!playSpace(w, operation) && !playPhysical(w, operation)) playMemory(w, operation);
  w.sweepMigrations();
}
