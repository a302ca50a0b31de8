/**
 * Histories of the fuzzer of mm/ that are saved in the middle: the restored kernel must go on
 * exactly as the one it was saved from, operation by operation and byte by byte.
 */
import fc from 'fast-check';
import {
  decodeKernel,
  encodeKernel,
  firstDifference,
  KERNEL_CLASSES,
} from '../../../src/state/index.ts';
import type { SavedAccelerators } from '../mm/accelerators.ts';
import { findMismatches } from '../mm/check.ts';
import type { SavedDevices } from '../mm/devices.ts';
import type { Cpuset, FsDax, MappedFile, OfflineOp, Task } from '../mm/kernelDoor.ts';
import { type MachinePlan, machineArbitrary } from '../mm/machines.ts';
import type { SavedMappedDevices } from '../mm/mappedDevices.ts';
import { Mismatch } from '../mm/mismatch.ts';
import { type Operation, operationArbitrary } from '../mm/operations.ts';
import { play } from '../mm/play.ts';
import { type Underway, World } from '../mm/world.ts';

/** Plays the first operations, then the rest on both kernels; throws where they part. */
export function playSaved(
  plan: MachinePlan,
  before: readonly Operation[],
  after: readonly Operation[],
): void {
  const original = new World(plan);
  const copy = new World(plan);
  for (const operation of before) {
    play(original, operation);
    play(copy, operation);
  }
  const bytes = encodeKernel({ k: original.k, attached: attachedOf(original) });
  restoreInto(copy, bytes);
  compare(original, copy, 'when restored');
  for (const operation of after) {
    play(original, operation);
    play(copy, operation);
    compare(original, copy, `after ${operation.op}`);
  }
  const left = copy.tearDown();
  if (left.length > 0) throw new Mismatch(`the restored kernel at the end: ${left.join(', ')}`);
}

/** What a world has under way besides its kernel. */
interface Attached {
  readonly underway: Underway[];
  readonly devices: SavedDevices;
  readonly accelerators: SavedAccelerators;
  readonly mappedDevices: SavedMappedDevices;
  readonly dax: FsDax | null;
  readonly cpusets: Cpuset[];
  readonly offlining: OfflineOp | null;
}

function attachedOf(world: World): Attached {
  const { underway, devices, accelerators, mappedDevices, dax, cpusets, offlining } = world;
  return {
    underway,
    devices: devices.saved,
    accelerators: accelerators.saved,
    mappedDevices: mappedDevices.saved,
    dax,
    cpusets,
    offlining,
  };
}

function compare(original: World, copy: World, when: string): void {
  const a = encodeKernel({ k: original.k, attached: attachedOf(original) });
  const b = encodeKernel({ k: copy.k, attached: attachedOf(copy) });
  if (Buffer.compare(a, b) !== 0) {
    const where = firstDifference(original.k, copy.k, KERNEL_CLASSES) ?? 'order of the objects';
    throw new Mismatch(`${when}: the two kernels differ in ${where}`);
  }
  // Looking moves the hint of findVma, so both are looked at.
  findMismatches(original);
  const wrong = findMismatches(copy);
  if (wrong.length > 0) throw new Mismatch(`${when}: ${wrong.slice(0, 8).join('\n')}`);
}

/** Gives a world that lived through the same the kernel of a state. */
function restoreInto(world: World, bytes: Uint8Array): void {
  const { k, attached } = decodeKernel(bytes);
  const models = [...world.modelOf].map(([file, model]) => [file.id, model] as const);
  Reflect.set(world, 'k', k);
  const { underway, devices, accelerators, mappedDevices, dax, cpusets, offlining } =
    attached as Attached;
  world.underway = underway;
  world.cpusets = cpusets;
  world.dax = dax;
  world.offlining = offlining;
  world.devices.adopt(k, devices);
  world.accelerators.adopt(k, accelerators);
  world.mappedDevices.adopt(k, mappedDevices);
  world.modelOf.clear();
  for (const [id, model] of models) {
    const file = k.files[id];
    if (file !== null) world.modelOf.set(file, model);
  }
  for (const file of world.files) replace(file, 'kernel', file.kernel.id, k.files);
  for (const process of world.processes) {
    const task = k.tasks.get(process.task.pid);
    if (task === undefined) throw new Mismatch(`task ${process.task.pid} is gone`);
    Reflect.set(process, 'task', task satisfies Task);
  }
}

function replace(of: object, key: string, id: number, files: readonly (MappedFile | null)[]): void {
  Reflect.set(of, key, files[id]);
}

/** The report of the first failing history, shrunk; null if all pass. */
export function fuzzSaved(seed: number, runs: number, limitMs?: number): string | null {
  const history = fc.array(operationArbitrary, { maxLength: 40, size: 'max' });
  const details = fc.check(fc.property(machineArbitrary, history, history, playSaved), {
    seed,
    numRuns: runs,
    interruptAfterTimeLimit: limitMs,
  });
  if (!details.failed || details.counterexample === null) return null;
  const [plan, before, after] = details.counterexample;
  const error = details.errorInstance;
  return [
    `seed ${details.seed} path ${details.counterexamplePath} after ${details.numRuns} runs`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `machine ${JSON.stringify(plan)}`,
    ...before.map((operation) => `  ${JSON.stringify(operation)},`),
    '  saved and restored',
    ...after.map((operation) => `  ${JSON.stringify(operation)},`),
  ].join('\n');
}
