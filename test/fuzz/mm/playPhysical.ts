/** Memory blocks that go offline and online, compaction, ranges that a driver takes. */
import {
  allocContigRange,
  blockOfflineObstacles,
  type CmaArea,
  cmaAlloc,
  cmaRelease,
  compactNode,
  EHWPOISON,
  freeContigRange,
  GFP_KERNEL,
  type Kernel,
  kcompactdStep,
  MEM_OFFLINE,
  OfflineOp,
  ONLINE_TYPES,
  proactiveStep,
  writeBlockState,
} from './kernelDoor.ts';
import { Mismatch } from './mismatch.ts';
import type { Operation } from './operations.ts';
import type { World } from './world.ts';

type Of<K extends Operation['op']> = Extract<Operation, { op: K }>;
export type PhysicalOperation = Of<'offline' | 'online' | 'compact' | 'contig'>;

export const PHYSICAL_PLAYERS = {
  offline: playOffline,
  online: playOnline,
  compact({ k }: World, o: Of<'compact'>): void {
    playCompact(k, o);
  },
  contig({ k }: World, o: Of<'contig'>): void {
    playContig(k, o);
  },
};

/** Writes "offline"; after some passes a signal comes. What keeps it must have been foretold. */
function playOffline(w: World, o: Of<'offline'>): void {
  const { k } = w;
  // Writers of block states wait for each other (device_hotplug_lock).
  if (w.offlining !== null) return;
  const blocks = k.pm.memoryBlocks.numbers();
  const block = blocks[o.block % blocks.length];
  const isOffline = k.pm.memoryBlocks.state[block] === MEM_OFFLINE;
  k.lru.drainAll();
  const obstacles = isOffline ? [] : blockOfflineObstacles(k, block);
  const answer = writeBlockState(k, block, 'offline');
  if (!(answer instanceof OfflineOp)) {
    const isExpected = isOffline || obstacles.some((obstacle) => obstacle.effect === 'refuses');
    if (!isExpected) throw new Mismatch(`PM-60: block ${block} is refused (${answer}) for nothing`);
    return;
  }
  if (obstacles.some((obstacle) => obstacle.effect === 'refuses')) {
    throw new Mismatch(`PM-60: block ${block} is not refused`);
  }
  while (answer.passes < o.passes && !answer.step());
  answer.signalPending = true;
  answer.step();
  w.sweepMigrations();
  const quiet = w.underway.length === 0;
  if (answer.result === 0 && quiet && obstacles.length > 0) {
    throw new Mismatch(`PM-61: block ${block} went offline over ${obstacles[0].kind}`);
  }
}

function playOnline(w: World, o: Of<'online'>): void {
  const { k } = w;
  if (w.offlining !== null) return;
  const blocks = k.pm.memoryBlocks.numbers();
  const offline = blocks.filter((block) => k.pm.memoryBlocks.state[block] === MEM_OFFLINE);
  if (offline.length === 0) return;
  const block = offline[o.block % offline.length];
  const result = writeBlockState(k, block, ONLINE_TYPES[o.type % ONLINE_TYPES.length]);
  if (result !== 0 && result !== -EHWPOISON)
    throw new Mismatch(`PM-74: block ${block} does not come online: ${result}`);
}

function playCompact(k: Kernel, o: Of<'compact'>): void {
  const nid = o.nid % k.pm.nodes.length;
  if (k.pm.nodes[nid].present === 0) return;
  if (o.how === 0) compactNode(k, nid);
  else if (o.how === 1) proactiveStep(k, nid);
  else {
    k.compaction.wakeKcompactd(nid, o.how, 3);
    kcompactdStep(k, nid);
  }
}

/** Takes a range somewhere in a zone, or of the CMA area, and gives it back. */
function playContig(k: Kernel, o: Of<'contig'>): void {
  if (k.cma.length > 0 && o.at % 2 === 1) {
    playCma(k, k.cma[0], o.pages);
    return;
  }
  const zones = k.pm.populatedZones();
  const zone = zones[o.zone % zones.length];
  const range = zone.presentRanges[o.zone % zone.presentRanges.length];
  const start = range.start + (o.at % (range.end - range.start));
  const end = Math.min(start + o.pages, range.end);
  if (allocContigRange(k, start, end, false, GFP_KERNEL) !== 0) return;
  for (let frame = start; frame < end; frame++) {
    if (k.frames.refcount[frame] !== 1) throw new Mismatch(`PM-80: frame ${frame} is not taken`);
  }
  freeContigRange(k, start, end - start);
}

function playCma(k: Kernel, area: CmaArea, pages: number): void {
  const frame = cmaAlloc(k, area, pages);
  if (frame < 0) return;
  for (let page = frame; page < frame + pages; page++) {
    if (k.frames.refcount[page] !== 1) throw new Mismatch(`PM-82: frame ${page} is not taken`);
  }
  if (!cmaRelease(k, area, frame, pages)) throw new Mismatch('PM-82: the area refuses its pages');
}
