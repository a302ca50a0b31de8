/** Verbs of the test devices: device.open device.migrate device.back device.read ... */
import type { Vpn } from '../../base/units.ts';
import type { Dmirror, DmirrorResult } from '../../drivers/index.ts';
import type { Fields } from '../caseFile.ts';
import { SAME_WORD, wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { failure, returned } from '../outcome.ts';
import type { Process, Region } from '../process.ts';
import { toRuns } from '../runs.ts';
import type { Verb, VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

/** The mirror and the range of a step. */
interface Target {
  readonly mirror: Dmirror;
  readonly region: Region;
  readonly from: number;
  readonly start: Vpn;
  readonly n: number;
}

function mirrorOf(world: World, process: Process, inputs: Inputs): Dmirror {
  return world.devices.mirror(process, inputs.string('device'), inputs.place);
}

function targetOf(world: World, process: Process, inputs: Inputs): Target {
  const region = process.region(inputs.string('region'), inputs.place);
  const from = inputs.integerOr('from', 0);
  const n = world.count(inputs.get('n'), inputs.place);
  const mirror = mirrorOf(world, process, inputs);
  return { mirror, region, from, start: region.start + from, n };
}

function answer(result: DmirrorResult): Fields {
  if (result.ret < 0) return failure(result.ret);
  return { ret: 0, cpages: result.cpages, faults: result.faults };
}

/** The same with what the device read. */
function answerRead(result: DmirrorResult, { region, from }: Target): Fields {
  if (result.ret < 0) return failure(result.ret);
  return { ...answer(result), device_data: describe(result.words, region, from) };
}

function describe(words: readonly number[], region: Region, from: number): string {
  const expected = (i: number): number => (region.isSame ? SAME_WORD : wordOfPage(from + i));
  if (words.every((word, i) => word === expected(i))) return 'matches';
  return words.every((word) => word === 0) ? 'all-zero' : 'mixed';
}

/** A verb over a range. */
function ranged(act: (process: Process, target: Target) => Fields): Verb {
  return (world, process, inputs) => act(process, targetOf(world, process, inputs));
}

function doWrite(process: Process, { mirror, region, from, start, n }: Target): Fields {
  const word = (i: number): number => (region.isSame ? SAME_WORD : wordOfPage(from + i));
  return answer(
    mirror.write(
      process.task,
      start,
      Array.from({ length: n }, (_, i) => word(i)),
    ),
  );
}

function doSnapshot(process: Process, { mirror, start, n }: Target): Fields {
  const perms = mirror.snapshot(process.task, start, n);
  if (typeof perms === 'number') return failure(perms);
  return { ret: 0, cpages: n, faults: 0, perm: toRuns([...perms]) };
}

export const DEVICE_VERBS: VerbTable = {
  'device.open': (world, process, inputs) => {
    world.devices.open(process, inputs.string('device'), inputs.place);
    return {};
  },
  'device.migrate': ranged((process, target) =>
    answerRead(target.mirror.migrateToDevice(process.task, target.start, target.n), target),
  ),
  'device.back': ranged((process, { mirror, start, n }) =>
    answer(mirror.migrateToSystem(process.task, start, n)),
  ),
  'device.read': ranged((process, target) =>
    answerRead(target.mirror.read(process.task, target.start, target.n), target),
  ),
  'device.write': ranged(doWrite),
  'device.snapshot': ranged(doSnapshot),
  'device.exclusive': ranged((process, { mirror, start, n }) =>
    answer(mirror.exclusive(process.task, start, n)),
  ),
  'device.check': ranged((_process, { mirror, start, n }) =>
    answer(mirror.checkExclusive(start, n)),
  ),
  'device.release': (world, process, inputs) =>
    returned(mirrorOf(world, process, inputs).device.release(process.task)),
  'device.fail_alloc': (world, process, inputs) => {
    mirrorOf(world, process, inputs).device.failsNext = true;
    return {};
  },
};
