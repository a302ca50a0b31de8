/**
 * Plays one operation record on kernel and model. Throws Mismatch when the kernel's answer is one
 * that the model does not allow; running out of memory is allowed everywhere, if nothing is lost.
 */

import type { Operation } from './operations.ts';
import { playAccelerator } from './playAccelerators.ts';
import { playDevice } from './playDevices.ts';
import { MAPPED_DEVICE_PLAYERS } from './playMappedDevices.ts';
import { MEMORY_PLAYERS } from './playMemory.ts';
import { PHYSICAL_PLAYERS } from './playPhysical.ts';
import { isSpaceOperation, playSpace } from './playSpace.ts';
import { SYSTEM_PLAYERS } from './playSystem.ts';
import type { World } from './world.ts';

const PLAYERS = {
  ...MEMORY_PLAYERS,
  ...PHYSICAL_PLAYERS,
  ...SYSTEM_PLAYERS,
  ...MAPPED_DEVICE_PLAYERS,
  device: playDevice,
  accelerator: playAccelerator,
};

export function play(w: World, operation: Operation): void {
  if (w.processes.length === 0) w.spawn(0);
  // Who runs is not part of a saved state: every caller says it.
  w.k.trace.run(0, 0);
  if (isSpaceOperation(operation)) playSpace(w, operation);
  else (PLAYERS[operation.op] as (w: World, o: Operation) => void)(w, operation);
  w.sweepMigrations();
}
