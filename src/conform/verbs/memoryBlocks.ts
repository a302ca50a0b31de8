/** Verb block.state and look block_of: memory blocks that go offline and online. */
import { UserError } from '../../base/assert.ts';
import {
  exitTask,
  forkTask,
  MEMORY_STATE_NAMES,
  type OfflineOp,
  pageAt,
  reapTask,
  writeBlockState,
} from '../../mm/index.ts';
import { ENOENT, ENOMEM } from '../../uapi/errno.ts';
import type { Fields } from '../caseFile.ts';
import type { Inputs } from '../inputs.ts';
import { failure, returned } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

/** Time of a pass over a block that leaves something behind. */
const PASS_NS = 100_000_000;
/** Nobody waits longer than this for a write without a signal. */
const PATIENCE_S = 600;

/** Runs an offlining to its end; after `signalNs` a signal comes. Whether it did. */
export function runOffline(world: World, op: OfflineOp, signalNs: number): boolean {
  const deadline = world.k.nowNs + signalNs;
  while (!op.step()) {
    world.advance(PASS_NS);
    if (world.k.nowNs >= deadline) op.signalPending = true;
  }
  return op.signalPending;
}

/** A number, or the name that block_of declared. */
function blockNumber(world: World, inputs: Inputs): number {
  const block = inputs.get('block');
  if (typeof block === 'number') return block;
  const known = world.blocks.get(String(block));
  if (known === undefined) throw inputs.wrong('block', 'a number or a name from block_of');
  return known;
}

/**
 * The harness writes from a forked child, so that it can send the signal: what a fork does to page
 * table entries happens here, too.
 */
function doBlockState(world: World, process: Process, inputs: Inputs): Fields {
  const { k } = world;
  const block = blockNumber(world, inputs);
  if (!k.pm.memoryBlocks.exists(block)) return { ...failure(-ENOENT), signalled: false };
  const writer = forkTask(k, process.task);
  if (typeof writer === 'number') return failure(-ENOMEM);
  const answer = writeBlockState(k, block, inputs.string('write'));
  let result = 0;
  let signalled = false;
  if (typeof answer === 'number') result = answer;
  else {
    const seconds = inputs.integerOr('signal_after_s', PATIENCE_S);
    signalled = runOffline(world, answer, seconds * 1e9);
    result = answer.result;
    if (signalled && !inputs.has('signal_after_s')) {
      const remedy = 'give signal_after_s';
      throw new UserError(inputs.place, `offlining block ${block} does not end`, remedy);
    }
  }
  exitTask(k, writer);
  reapTask(k, writer);
  const state = MEMORY_STATE_NAMES[k.pm.memoryBlocks.state[block]];
  return { ...returned(result), signalled, state };
}

/** The memory block of one page, or of most pages of the region; -1 without one. */
function lookBlockOf(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('region'), inputs.place);
  const most = inputs.has('which');
  const first = most ? 0 : inputs.integerOr('page', 0);
  const counts = new Map<number, number>();
  for (let page = first; page < (most ? region.pages : first + 1); page++) {
    const frame = pageAt(world.k, process.task.mm!, region.start + page);
    if (frame < 0) continue;
    const block = world.k.pm.memoryBlocks.blockOf(frame);
    counts.set(block, (counts.get(block) ?? 0) + 1);
  }
  const [block, pages] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [-1, 0];
  if (inputs.has('as')) world.blocks.set(inputs.string('as'), block);
  return most ? { block, pages } : { block };
}

export const MEMORY_BLOCK_VERBS: VerbTable = { 'block.state': doBlockState };
export const MEMORY_BLOCK_LOOKS: VerbTable = { block_of: lookBlockOf };
