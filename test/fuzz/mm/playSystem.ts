/** Plays what callers on placement and the administrator do. None of it may change a word. */
import {
  attachTask,
  createCpuset,
  EACCES,
  EBUSY,
  EFAULT,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EREMOTEIO,
  injectError,
  MAP_FIXED,
  MAP_SHARED,
  MPOL_MF_MOVE,
  MPOL_MF_MOVE_ALL,
  mbind,
  migratePagesCall,
  mmapRegion,
  movePages,
  munmapRange,
  newHugetlbFile,
  OfflineOp,
  PAGE_SIZE,
  PGDEMOTE_DIRECT,
  PROT_READ,
  PROT_WRITE,
  rootCpuset,
  UserAddresses,
  UserInts,
  writeBlockState,
  writeCpusetMems,
} from './kernelDoor.ts';
import { Mismatch } from './mismatch.ts';
import { ModelFile } from './model.ts';
import { access, HUGE_BASE, newPage } from './playSpace.ts';
import type { SystemOperation } from './systemOperations.ts';
import type { World } from './world.ts';

/** An operation by its name. */
export type Of<K extends SystemOperation['op']> = Extract<SystemOperation, { op: K }>;
type Players = { readonly [K in SystemOperation['op']]: (w: World, o: Of<K>) => void };

const UNWRITTEN = -99999;
/** Mappings of the pool are 8 MiB apart. */
const HUGE_SLOT = 2048;
const RUNS_OUT = [ENOMEM];

export const SYSTEM_PLAYERS: Players = {
  movePages: playMovePages,
  migratePages(w, o) {
    const p = w.process(o.proc);
    const to = { bits: w.nodesOf(o.to), maxnode: 33 };
    const from = { bits: w.nodesOf(o.from), maxnode: 33 };
    const left = migratePagesCall(w.k, p.task, 0, from, to);
    expectOneOf('migrate_pages', left, [EINVAL, ENOMEM, EBUSY]);
  },
  mbind(w, o) {
    const p = w.process(o.proc);
    const [start, end] = w.range(p, o.range);
    const nodes = { bits: o.mode === 0 || o.mode === 4 ? [] : w.nodesOf(o.nodes), maxnode: 33 };
    const length = (end - start) * PAGE_SIZE;
    const result = mbind(w.k, p.task, start * PAGE_SIZE, length, o.mode, nodes, o.flags);
    if (result > 0) throw new Mismatch(`mbind returned ${result}`);
    expectOneOf('mbind', result, [EINVAL, EIO, EFAULT, ENOMEM]);
  },
  cpusetMems(w, o) {
    const cpuset = cpusetAt(w, o.set);
    if (cpuset.parent === null) return;
    expectOneOf('cpuset.mems', writeCpusetMems(w.k, cpuset, o.mems), [EINVAL, ENOSPC]);
  },
  cpusetAttach(w, o) {
    expectOneOf('cgroup.procs', attachTask(w.k, w.process(o.proc).task, cpusetAt(w, o.set)), []);
  },
  beginOffline(w, o) {
    if (w.offlining !== null) return;
    const got = writeBlockState(w.k, blockAt(w, o.block), 'offline');
    if (got instanceof OfflineOp) w.offlining = got;
    else expectOneOf('offline', got, [EINVAL, EBUSY]);
    stepOffline(w, o.steps, false);
  },
  stepOffline(w, o) {
    stepOffline(w, o.steps, o.signal);
  },
  softOffline(w, o) {
    const p = w.process(o.proc);
    const start = w.range(p, o.range)[0];
    if (!p.space.pages.has(start) || w.poisonsLeft-- <= 0) return;
    const result = injectError(w.k, p.task, start, start + 1, true);
    const isPeer = p.space.pages.get(start)?.file?.kind === 'peer';
    const errors = isPeer ? [EREMOTEIO, EFAULT] : [EBUSY, EIO, EFAULT, ENOMEM];
    expectOneOf('soft offline', result, errors);
  },
  hugePool(w, o) {
    w.k.hugetlb.resize(o.pages, o.nid % w.k.pm.nodes.length);
  },
  hugeMap: playHugeMap,
  hugeTouch(w, o) {
    const p = w.process(o.proc);
    access(w, p, HUGE_BASE + o.slot * HUGE_SLOT + o.at, o.write);
  },
  hugeUnmap(w, o) {
    const p = w.process(o.proc);
    const start = HUGE_BASE + o.slot * HUGE_SLOT;
    munmapRange(w.k, p.task.mm!, start, start + HUGE_SLOT);
    p.space.unmap(start, start + HUGE_SLOT);
  },
};

function expectOneOf(what: string, result: number, errors: readonly number[]): void {
  if (result < 0 && ![...RUNS_OUT, ...errors].includes(-result)) {
    throw new Mismatch(`${what} returned ${result}`);
  }
}

/** MP-42, MP-50..MP-52: a status that names a node tells the truth. */
function playMovePages(w: World, o: Of<'movePages'>): void {
  const { k } = w;
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const n = Math.min(end - start, 256);
  const nid = o.nid % k.pm.nodes.length;
  const addresses = new UserAddresses(
    Float64Array.from({ length: n }, (_, i) => (start + i) * PAGE_SIZE),
  );
  const nodes = o.move === 0 ? null : new UserInts(new Int32Array(n).fill(nid));
  const cells = new Int32Array(n).fill(UNWRITTEN);
  const flags = [0, MPOL_MF_MOVE, MPOL_MF_MOVE_ALL][o.move];
  const demotedBefore = demoted(w);
  const left = movePages(k, p.task, 0, n, addresses, nodes, new UserInts(cells), flags);
  expectOneOf('move_pages', left, [EACCES, ENODEV, ENOENT]);
  // TI-12: memory for the later pages may have cost the earlier ones their place again.
  if (demoted(w) !== demotedBefore) return;
  for (let i = 0; i < n; i++) {
    const status = cells[i];
    if (status === UNWRITTEN && left === 0) throw new Mismatch(`move_pages: slot ${i} unwritten`);
    if (status < 0) continue;
    const frame = w.frameAt(p, start + i);
    // MC-87: a split on the way may have left the zero page.
    if (frame < 0 && o.move !== 0) continue;
    const at = frame < 0 ? -1 : k.pm.nidOf(frame);
    if (at !== status) throw new Mismatch(`move_pages: page ${i} on ${at}, status ${status}`);
  }
}

function demoted({ k }: World): number {
  let pages = 0;
  for (const { nid } of k.pm.nodes) pages += k.vmstat.nodeItem(nid, PGDEMOTE_DIRECT);
  return pages;
}

function cpusetAt(w: World, set: number) {
  w.cpusets[0] ??= rootCpuset(w.k, false);
  while (w.cpusets.length <= set) w.cpusets.push(createCpuset(w.cpusets[0]));
  return w.cpusets[set];
}

function blockAt(w: World, pick: number): number {
  return w.blocks[pick % w.blocks.length];
}

function stepOffline(w: World, steps: number, signal: boolean): void {
  const op = w.offlining;
  if (op === null) return;
  if (signal) op.signalPending = true;
  for (let n = 0; n < steps && !op.isDone; n++) op.step();
  if (op.isDone) w.offlining = null;
}

/** Shared mappings of the pool: no page of theirs is ever copied, so no word can be lost. */
function playHugeMap(w: World, o: Of<'hugeMap'>): void {
  const p = w.process(o.proc);
  const mm = p.task.mm!;
  const addr = HUGE_BASE + o.slot * HUGE_SLOT;
  if (p.space.pages.has(addr)) return;
  const file = newHugetlbFile(w.k, p.task, o.pages, true);
  if (file === null) return;
  const prot = PROT_READ | PROT_WRITE;
  const request = { addr, pages: o.pages, prot, flags: MAP_SHARED | MAP_FIXED, file, pgoff: 0 };
  if (mmapRegion(w.k, mm, request) !== addr) throw new Mismatch('hugetlb: mmap failed');
  const model = new ModelFile(o.pages);
  for (let i = 0; i < o.pages; i++) {
    p.space.pages.set(addr + i, newPage(prot, true, model, i, false));
  }
  w.modelOf.set(file, model);
}
