/** What happens to memory behind the programs' backs, and what drivers and files do. */
import {
  __GFP_THISNODE,
  EBUSY,
  FOLL_LONGTERM,
  FOLL_WRITE,
  GFP_HIGHUSER_MOVABLE,
  isFsDax,
  isolateFolio,
  isPageIdle,
  type KernelReclaim,
  ksmScan,
  type MigrateMode,
  MigrationOp,
  MPOL_BIND,
  MPOL_F_NUMA_BALANCING,
  makePolicy,
  memoryReclaim,
  mergeRange,
  PG_LOCKED,
  pinUserPages,
  setMergeAcrossNodes,
  setPageIdle,
  splitAtEnds,
  splitFolio,
  syncFile,
  taskNumaWork,
  truncateFile,
  userfaultProtect,
  userfaultRegister,
  writeFilePages,
} from './kernelDoor.ts';
import type { MappedDeviceOperation } from './mappedDeviceOperations.ts';
import { Mismatch } from './mismatch.ts';
import { dropPrivateBehind } from './model.ts';
import type { Operation } from './operations.ts';
import { peekFile } from './peek.ts';
import type { PhysicalOperation } from './playPhysical.ts';
import { ACCESSED, access, noteCopies, type SpaceOperation } from './playSpace.ts';
import type { SystemOperation } from './systemOperations.ts';
import type { Process, World } from './world.ts';

export const HELD_MAX = 12;
const UNDERWAY_MAX = 4;
const FILE_PAGES_MAX = 1100;

type Of<K extends Operation['op']> = Extract<Operation, { op: K }>;
type MemoryOperation = Exclude<
  Operation,
  | SpaceOperation
  | PhysicalOperation
  | SystemOperation
  | Of<'device' | 'accelerator'>
  | MappedDeviceOperation
>;
type Players = { readonly [K in MemoryOperation['op']]: (w: World, o: Of<K>) => void };

export const MEMORY_PLAYERS: Players = {
  thp({ k }, o) {
    k.sysctl.thp_enabled = (['never', 'madvise', 'always'] as const)[o.enabled];
    k.sysctl.mthpAlways = o.mthp;
  },
  policy: playPolicy,
  vmaPolicy: playPolicy,
  migrate: playMigrate,
  stepMigration(w, o) {
    w.stepMigration(o.which, o.finish);
  },
  numaScan(w, o) {
    const { k } = w;
    k.sysctl.numa_balancing = o.mode;
    k.nowNs += o.ms * 1_000_000;
    taskNumaWork(k, w.process(o.proc).task);
  },
  kswapd: playReclaim,
  reclaim: playReclaim,
  demotion({ k }, o) {
    k.sysctl.demotion_enabled = o.on;
  },
  split: playSplit,
  get: playDriver,
  gup: playDriver,
  put: playDriver,
  dma: playDriver,
  truncate: playFile,
  writeFile: playFile,
  fsync: playFile,
  ksm({ k }, o) {
    setMergeAcrossNodes(k, o.across);
    for (let n = 0; n < o.scans; n++) ksmScan(k);
  },
  uffd(w, o) {
    const { mm } = w.process(o.proc).task;
    const [start, end] = w.range(w.process(o.proc), o.range);
    userfaultRegister(w.k, mm!, start, end);
    userfaultProtect(w.k, mm!, start, end);
  },
  idle(w, o) {
    const p = w.process(o.proc);
    const [start, end] = w.range(p, o.range);
    for (let vpn = start; vpn < end; vpn++) {
      const page = w.frameAt(p, vpn);
      if (page >= 0 && !isPageIdle(w.k, page)) setPageIdle(w.k, page);
    }
  },
  proactive(w, o) {
    memoryReclaim(w.k, w.process(0).task.cpuNid, o.pages, () => true, -1, 60);
  },
  drain({ k }) {
    k.lru.drainAll();
  },
};

function playPolicy(w: World, o: Extract<Operation, { op: 'policy' | 'vmaPolicy' }>): void {
  const p = w.process(o.proc);
  const nodes = o.nodes & w.k.pm.nodesWithMemory;
  const flags =
    o.op === 'policy' && o.balancing && o.mode === MPOL_BIND ? MPOL_F_NUMA_BALANCING : 0;
  const policy = makePolicy(o.mode, flags, o.mode === 0 || o.mode === 4 ? 0 : nodes, -1);
  if (typeof policy === 'number') return;
  if (o.op === 'policy') {
    p.task.setPolicy(policy);
    return;
  }
  const mm = p.task.mm!;
  const [start, end] = w.range(p, o.range);
  splitAtEnds(w.k, mm, start, end);
  for (const vma of mm.vmas) if (vma.start >= start && vma.end <= end) vma.policy = policy;
  mergeRange(w.k, mm, start, end);
}

function playMigrate(w: World, o: Extract<Operation, { op: 'migrate' }>): void {
  const { k } = w;
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  if (o.mode !== 0) k.lru.drainAll();
  const list: number[] = [];
  for (let vpn = start; vpn < end; vpn++) {
    const page = w.frameAt(p, vpn);
    if (page >= 0) isolateFolio(k, k.frames.headOf(page), list);
  }
  const nid = o.nid % k.pm.nodes.length;
  const to = { nid, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  const op = new MigrationOp(k, list, to, o.mode as MigrateMode, o.reason);
  w.underway.push({ op, list });
  if (o.steps < 0 || w.underway.length > UNDERWAY_MAX) op.finish();
  else for (let n = 0; n < o.steps; n++) op.step();
}

function playReclaim(w: World, o: Extract<Operation, { op: 'kswapd' | 'reclaim' }>): void {
  const { k } = w;
  const hooks = k.pm.hooks as KernelReclaim;
  if (o.op === 'reclaim') {
    w.reclaim(o.nid % k.pm.nodes.length);
    return;
  }
  for (const node of k.pm.nodes) {
    for (let n = 0; n < o.steps && (k.kswapdWoken & (1 << node.nid)) !== 0; n++) {
      hooks.kswapdStep(node.nid);
    }
  }
}

function playSplit(w: World, o: Extract<Operation, { op: 'split' }>): void {
  const { k } = w;
  const p = w.process(o.proc);
  const page = w.frameAt(p, w.range(p, o.range)[0]);
  if (page < 0) return;
  const head = k.frames.headOf(page);
  if (!k.folios.isLarge(head) || k.frames.has(head, PG_LOCKED)) return;
  if (isFsDax(k, head)) return; // only files' cuts make them pages again
  k.folios.get(head);
  splitFolio(k, head, null);
  k.putFolio(head);
}

function playDriver(w: World, o: Extract<Operation, { op: 'get' | 'gup' | 'put' | 'dma' }>): void {
  const { k } = w;
  if (o.op === 'get') {
    const p = w.process(o.proc);
    const vpn = w.range(p, o.range)[0];
    if (w.held.length >= HELD_MAX || access(w, p, vpn, o.pin) !== ACCESSED) return;
    const page = w.frameAt(p, vpn);
    if (page < 0) return;
    if (o.pin) k.folios.pin(k.frames.headOf(page), 1);
    else k.folios.get(k.frames.headOf(page));
    hold(w, p, vpn, page, o.pin, o.pin);
    return;
  }
  if (o.op === 'gup') {
    playGup(w, o);
    return;
  }
  if (w.held.length === 0) return;
  const held = w.held[o.which % w.held.length];
  if (o.op === 'put') {
    w.held.splice(w.held.indexOf(held), 1);
    w.put(held);
  } else if (held.stores && w.isAttached(held)) {
    const word = w.newWord();
    k.frames.content![held.page] = word;
    held.mapped!.model.word = word;
  }
}

/** A page is held; followed if it is a pinned page that this process has alone (PM-8). */
export function hold(
  w: World,
  p: Process,
  vpn: number,
  page: number,
  pinned: boolean,
  stores: boolean,
): void {
  const model = p.space.pages.get(vpn)!;
  const follow = pinned && !model.shared && w.k.folios.isAnonExclusive(page);
  const mapped = follow ? { process: p, vpn, model } : null;
  w.held.push({ page, pinned, stores, mapped });
}

function playGup(w: World, o: Extract<Operation, { op: 'gup' }>): void {
  if (w.held.length >= HELD_MAX) return;
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const flags = (o.write ? FOLL_WRITE : 0) | (o.longterm ? FOLL_LONGTERM : 0);
  const pages: number[] = [];
  const got = pinUserPages(w.k, p.task, start, Math.min(end - start, 8), flags, pages);
  noteCopies(w, p, start, end);
  if (got > 0 && got !== pages.length) throw new Mismatch(`pinned ${pages.length}, said ${got}`);
  pages.forEach((page, i) => {
    hold(w, p, start + i, page, true, o.write);
  });
}

function playFile(
  w: World,
  o: Extract<Operation, { op: 'truncate' | 'writeFile' | 'fsync' }>,
): void {
  const { k } = w;
  const { kernel, model } = w.files[o.file % w.files.length];
  if (o.op === 'fsync') {
    syncFile(k, kernel);
    return;
  }
  if (o.op === 'truncate') {
    playTruncate(w, o.size, o.file);
    return;
  }
  const end = Math.min(o.at + o.pages, kernel.kind === 'dax' ? kernel.sizePages : FILE_PAGES_MAX);
  if (end <= o.at) return;
  const words = new Uint32Array(end - o.at).map(() => w.newWord());
  const result = writeFilePages(k, w.process(o.proc).task, kernel, o.at, words);
  model.size = kernel.sizePages;
  for (let i = 0; i < words.length; i++) {
    const index = o.at + i;
    if (result === 0 || peekFile(k, kernel, index) === words[i]) model.words.set(index, words[i]);
  }
}

/** A file on a DAX device does not grow, and keeps its size while somebody holds a page (PM-3). */
function playTruncate(w: World, to: number, pick: number): void {
  const { kernel, model } = w.files[pick % w.files.length];
  const size = kernel.kind === 'dax' ? Math.min(to, kernel.sizePages) : to;
  if (kernel.kind === 'dax') {
    const ret = w.dax!.truncate(kernel, size);
    if (ret === -EBUSY) return;
    if (ret !== 0) throw new Mismatch(`truncate of a DAX file returned ${ret}`);
  } else truncateFile(w.k, kernel, size);
  model.truncate(size);
  for (const { space } of w.processes) dropPrivateBehind(space, model);
}
