/** Verbs that access memory: touch touch.loop thp.take; and sleep, which lets time go by. */
import { HPAGE_PMD_NR, PAGE_SIZE } from '../../base/units.ts';
import {
  accessPage,
  FAULT_ERROR,
  FAULT_HUGE,
  FAULT_OOM,
  FAULT_SIGBUS,
  nextDamonNs,
  storeWord,
  waitsForUserfault,
} from '../../mm/index.ts';
import { madvise, mbind, mmap } from '../../syscalls/index.ts';
import { MPOL_BIND } from '../../uapi/mempolicy.ts';
import {
  MADV_HUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../uapi/mman.ts';
import { NR_FREE_PAGES } from '../../uapi/vmstat.ts';
import type { Fields, Json } from '../caseFile.ts';
import { SAME_WORD, wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { blocked } from '../outcome.ts';
import type { Process, Region } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

/** `until`: stop when MemFree of the node is below the limit, looked at every so many pages. */
interface Limit {
  readonly node: number;
  readonly freeKb: number;
  readonly every: number;
}

function doTouch(world: World, process: Process, inputs: Inputs): Fields {
  const write = inputs.string('mode') === 'write';
  if (inputs.has('special')) {
    const vpn = world.specialPage(process, inputs.string('special'), inputs.place);
    return arrives(process, accessPage(world.k, process.task, vpn, write)) ?? {};
  }
  const region = process.region(inputs.string('region'), inputs.place);
  const from = inputs.integerOr('from', 0);
  const step = inputs.integerOr('step', 1);
  const n = inputs.has('n') ? world.count(inputs.get('n'), inputs.place) : region.pages - from;
  const limit = limitOf(inputs);
  region.isSame = inputs.get('fill') === 'same' || (region.isSame && !write);
  let touched = 0;
  for (; touched < n; touched++) {
    if (limit !== null && touched % limit.every === 0 && isBelow(world, limit)) break;
    const page = from + touched * step;
    if (waitsForUserfault(world.k, process.task.mm!, region.start + page, write)) {
      world.userfaults++;
      return blocked(`page ${page} waits for a reader of the userfaultfd`);
    }
    const outcome = touchPage(world, process, region, page, write);
    const end = arrives(process, outcome);
    if (end !== null) return end;
  }
  if (limit === null) return {};
  world.touched = touched;
  return { touched };
}

function touchPage(
  world: World,
  process: Process,
  region: Region,
  page: number,
  write: boolean,
): number {
  world.countTouch(process.task);
  const vpn = region.start + page;
  if (!write) return accessPage(world.k, process.task, vpn, false);
  const word = region.isSame ? SAME_WORD : wordOfPage(page);
  return storeWord(world.k, process.task, vpn, word);
}

function limitOf(inputs: Inputs): Limit | null {
  const until = inputs.get('until');
  if (until === undefined) return null;
  const { node, free_kb_below, every } = until as { [field: string]: Json };
  return { node: Number(node), freeKb: Number(free_kb_below), every: Number(every) };
}

function isBelow(world: World, limit: Limit): boolean {
  return freeKb(world, limit.node) < limit.freeKb;
}

/** MemFree of a node. */
export function freeKb(world: World, nid: number): number {
  const { k } = world;
  let pages = 0;
  for (const zone of k.pm.nodes[nid].zones) pages += k.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
  return (pages * PAGE_SIZE) / 1024;
}

/**
 * An access that fails raises a signal. null: there was none, or a handler counts it and the
 * program goes on with its next page.
 */
function arrives(process: Process, outcome: number): Fields | null {
  if ((outcome & FAULT_ERROR) === 0) return null;
  if ((outcome & FAULT_OOM) !== 0) return { signal: 'SIGKILL' };
  const signal = (outcome & FAULT_SIGBUS) !== 0 ? 'SIGBUS' : 'SIGSEGV';
  return process.survives(signal) ? null : { signal };
}

/** Rounds of touch.loop that are acted out; between two of them time jumps ahead. */
const ROUND_NS = 50_000_000;

/** Reads all pages again and again. */
function doTouchLoop(world: World, process: Process, inputs: Inputs): Fields {
  const regions = inputs.names('regions').map((name) => process.region(name, inputs.place));
  const n = world.count(inputs.get('n'), inputs.place);
  const step = inputs.integerOr('step', 1);
  const write = inputs.string('mode') === 'write';
  const end = world.k.nowNs + inputs.integer('seconds') * 1e9;
  while (world.k.nowNs < end) {
    const round = world.k.nowNs;
    for (const region of regions) {
      for (let i = 0; i < n; i++) {
        const outcome = touchPage(world, process, region, i * step, write);
        const end = arrives(process, outcome);
        if (end !== null) return end;
      }
    }
    // The loop never rests: whoever samples accesses finds some in every interval.
    const pause = Math.min(round + ROUND_NS, nextDamonNs(world.k)) - world.k.nowNs;
    world.advance(Math.max(0, pause));
    world.scan(process.task);
  }
  return {};
}

function doSleep(world: World, _process: Process, inputs: Inputs): Fields {
  world.advance(inputs.integer('ms') * 1e6);
  return {};
}

/** Where thp.take maps its pages: away from what cases map. */
const TAKE_START = 0x600000000000;
const HUGE_BYTES = HPAGE_PMD_NR * PAGE_SIZE;

/** 2 MiB pages bound to a node, one after the other, until one falls back to small pages. */
function doThpTake(world: World, process: Process, inputs: Inputs): Fields {
  const { k } = world;
  const { task } = process;
  const node = { bits: [inputs.integer('node')], maxnode: 65 };
  const rw = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  let taken = 0;
  for (; taken < inputs.integer('max'); taken++) {
    const address = TAKE_START + world.hugeTaken++ * HUGE_BYTES;
    mmap(k, task, address, HUGE_BYTES, rw, flags, null, 0);
    madvise(k, task, address, HUGE_BYTES, MADV_HUGEPAGE);
    mbind(k, task, address, HUGE_BYTES, MPOL_BIND, node, 0);
    const outcome = accessPage(k, task, address / PAGE_SIZE, true);
    if ((outcome & FAULT_HUGE) === 0) break;
  }
  return { taken };
}

export const TOUCHING_VERBS: VerbTable = {
  touch: doTouch,
  'touch.loop': doTouchLoop,
  sleep: doSleep,
  'thp.take': doThpTake,
};
