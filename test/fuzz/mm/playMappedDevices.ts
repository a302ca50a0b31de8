/**
 * A P2PDMA provider and device-dax against programs: memory that is mapped by the device's own
 * mmap, held by GUP and by devices on the bus, poisoned, and pulled while all of this goes on.
 */
import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOMEM,
  EREMOTEIO,
  FOLL_LONGTERM,
  FOLL_PCI_P2PDMA,
  FOLL_WRITE,
  getUserPages,
  getUserPagesFast,
  hmmDmaMapPfn,
  injectError,
  MAP_PRIVATE,
  MAP_SHARED,
  pinUserPages,
  pinUserPagesFast,
} from './kernelDoor.ts';
import type { DevdaxWhat, MappedDeviceOperation, PeerWhat } from './mappedDeviceOperations.ts';
import { CLIENTS } from './mappedDevices.ts';
import { Mismatch } from './mismatch.ts';
import { isAllowed, isOutOfReach, ModelFile, type ModelFileKind, type ModelPage } from './model.ts';
import type { RangePick } from './operations.ts';
import { NO_ENTRY, peekPage } from './peek.ts';
import { HELD_MAX, hold } from './playMemory.ts';
import { newPage, noteCopies } from './playSpace.ts';
import type { Process, World } from './world.ts';

type Of<K extends MappedDeviceOperation['op']> = Extract<MappedDeviceOperation, { op: K }>;

const ROUTES = ['BUS_ADDR', 'THRU_HOST_BRIDGE', -EREMOTEIO, 'BUS_ADDR'];
const PAGES_HELD_AT_ONCE = 4;

export const MAPPED_DEVICE_PLAYERS = {
  peer(w: World, o: Of<'peer'>): void {
    if (o.what === 'map') mapPeers(w, o);
    else if (o.what === 'mapBadly') mapBadly(w, o);
    else if (o.what === 'dma') playDma(w, o.which);
    else if (o.what === 'poison') poison(w, o.proc, o.range, 'peer');
    else if (o.what === 'remove') removePeers(w);
    else holdPages(w, o.proc, o.range, 'peer', o.what, (o.which & 1) !== 0);
  },
  devdax(w: World, o: Of<'devdax'>): void {
    if (o.what === 'map' || o.what === 'mapPrivate') mapDevdax(w, o);
    else if (o.what === 'poison') poison(w, o.proc, o.range, 'devdax');
    else if (o.what === 'poisonFile') poison(w, o.proc, o.range, 'fsdax');
    else if (o.what === 'remove') removeDevdax(w);
    else holdPages(w, o.proc, o.range, 'devdax', o.what, (o.prot & 2) !== 0);
  },
};

/** DM-90: all pages at once, or none; what they hold is what the device had there. */
function mapPeers(w: World, { proc, pages, prot }: Of<'peer'>): void {
  const p = w.process(proc);
  const { provider, peerPages } = w.mappedDevices;
  if (provider === null) return;
  const free = provider.free.length;
  const { isGone } = provider;
  const start = provider.mmap(p.task, pages, prot, MAP_SHARED, 0);
  if (isGone || pages > free) {
    const expected = isGone ? -ENODEV : -ENOMEM;
    if (start !== expected) throw new Mismatch(`P2P mmap returned ${start}, not ${expected}`);
    return;
  }
  if (start < 0) {
    if (start !== -ENOMEM) throw new Mismatch(`P2P mmap returned ${start}`);
    return;
  }
  const model = new ModelFile(pages, 'peer');
  for (let index = 0; index < pages; index++) {
    const page = w.frameAt(p, start + index);
    if (!w.mappedDevices.isPeer(page)) throw new Mismatch(`P2P mmap gave frame ${page}`);
    peerPages.set(page, { model, index });
    model.words.set(index, w.k.frames.content![page]);
    p.space.pages.set(start + index, newPage(prot, true, model, index, false));
  }
  p.space.addArea(start, pages);
}

function mapBadly(w: World, { proc, pages, prot, which }: Of<'peer'>): void {
  const { task } = w.process(proc);
  const { provider } = w.mappedDevices;
  if (provider === null) return;
  const flags = which === 0 ? MAP_PRIVATE : MAP_SHARED;
  const ret = provider.mmap(task, pages, prot, flags, which);
  if (ret !== -EINVAL) throw new Mismatch(`P2P mmap with offset ${which} returned ${ret}`);
}

function mapDevdax(w: World, { what, proc, pages, prot, pgoff }: Of<'devdax'>): void {
  const p = w.process(proc);
  const { devdax } = w.mappedDevices;
  if (devdax === null) return;
  const { isAlive } = devdax;
  const start = devdax.mmap(
    p.task,
    pages,
    prot,
    what === 'mapPrivate' ? MAP_PRIVATE : MAP_SHARED,
    pgoff,
  );
  if (what === 'mapPrivate' || !isAlive) {
    if (start >= 0) throw new Mismatch('device-dax is mapped, private or gone');
    return;
  }
  if (start < 0) throw new Mismatch(`mmap of device-dax returned ${start}`);
  const { devdaxModel } = w.mappedDevices;
  for (let i = 0; i < pages; i++) {
    p.space.pages.set(start + i, newPage(prot, true, devdaxModel, pgoff + i, false));
  }
  p.space.addArea(start, pages);
}

/** Page `at` of an area that begins with a page of such a file; null if the process has none. */
function pickPage(p: Process, pick: RangePick, kind: ModelFileKind): number | null {
  const { pages } = p.space;
  const areas = p.space.areas.filter(([start]) => pages.get(start)?.file?.kind === kind);
  if (areas.length === 0) return null;
  const [start, nr] = areas[pick.area % areas.length];
  return start + (pick.at % nr);
}

/** PM-3, PM-4: what GUP says of a page of a device, before it can run out of memory. */
function expectedOfGup(page: ModelPage | undefined, what: PeerWhat | DevdaxWhat, writes: boolean) {
  if (page === undefined || !isAllowed(page, writes)) return -EFAULT;
  if (isOutOfReach(page)) return -EFAULT;
  const isRefused = what === 'pinAsSystem' || what === 'getAsSystem';
  return isRefused && page.file?.kind === 'peer' ? -EREMOTEIO : 1;
}

function holdPages(
  w: World,
  proc: number,
  pick: RangePick,
  kind: 'peer' | 'devdax',
  what: PeerWhat | DevdaxWhat,
  writes: boolean,
): void {
  const p = w.process(proc);
  const at = pickPage(p, pick, kind);
  if (at === null || w.held.length >= HELD_MAX) return;
  const isSystem = kind === 'devdax' || what === 'pinAsSystem' || what === 'getAsSystem';
  const isForLong = what === 'pinForLong';
  const flags =
    (writes ? FOLL_WRITE : 0) | (isSystem ? 0 : FOLL_PCI_P2PDMA) | (isForLong ? FOLL_LONGTERM : 0);
  const isGet = what === 'get' || what === 'getFast' || what === 'getAsSystem';
  const isFast = what === 'getFast' || what === 'pinFast';
  const gup = isGet
    ? isFast
      ? getUserPagesFast
      : getUserPages
    : isFast
      ? pinUserPagesFast
      : pinUserPages;
  const got: number[] = [];
  const nr = Math.min(pick.len, PAGES_HELD_AT_ONCE);
  const n = gup(w.k, p.task, at, nr, flags, got);
  noteCopies(w, p, at, at + nr); // of other files, behind the area
  const page = p.space.pages.get(at);
  const isOurs = page === undefined || page.file?.kind === kind;
  const isBadFlag = isForLong && kind === 'peer'; // PM-2
  const expected = isBadFlag ? -EINVAL : expectedOfGup(page, what, writes);
  // Even a page that is not there may cost a page table first.
  const isAsExpected = n === -ENOMEM || (expected < 0 ? n === expected : n > 0);
  if (isOurs && !isAsExpected)
    throw new Mismatch(`${what} of ${kind} ${at}: ${n}, not ${expected}`);
  if (n > 0 && n !== got.length) throw new Mismatch(`${what} got ${got.length}, said ${n}`);
  got.forEach((frame, i) => {
    hold(w, p, at + i, frame, !isGet, writes);
  });
}

/** DM-15, DM-90: a device stores into a page that is held, if the bus lets it. */
function playDma(w: World, which: number): void {
  const { peerPages } = w.mappedDevices;
  const held = w.held.filter(({ page }) => w.mappedDevices.isPeer(page));
  if (held.length === 0) return;
  const { page, stores } = held[which % held.length];
  const client = which % CLIENTS.length;
  const route = hmmDmaMapPfn(w.k, CLIENTS[client], page);
  if (route !== ROUTES[client]) throw new Mismatch(`DM-15: client ${client} goes ${route}`);
  if (typeof route === 'number' || !stores) return;
  const { model, index } = peerPages.get(page)!;
  const word = w.newWord();
  w.k.frames.content![page] = word;
  model.words.set(index, word);
}

/** MC-82a: nobody has a poisoned page mapped. What it holds is not lost: nothing broke. */
function poison(w: World, proc: number, pick: RangePick, kind: ModelFileKind): void {
  const { k } = w;
  const p = w.process(proc);
  const at = pickPage(p, pick, kind);
  const page = at === null ? undefined : p.space.pages.get(at);
  if (at === null || page?.file?.kind !== kind || !page.shared) return;
  const ret = injectError(k, p.task, at, at + 1, false);
  for (const { task } of w.processes) task.pendingSignal = 0;
  const reached = expectedOfGup(page, 'pinAsSystem', false);
  const expected = Math.min(reached, 0);
  if (ret !== expected && ret !== -ENOMEM) {
    throw new Mismatch(`poisoning ${kind} page ${at} returned ${ret}, not ${expected}`);
  }
  if (ret !== 0) return;
  for (const other of w.processes) {
    for (const [vpn, { file, index, shared }] of other.space.pages) {
      if (file !== page.file || index !== page.index || !shared) continue;
      if (peekPage(k, other.task, vpn) !== NO_ENTRY) throw new Mismatch(`MC-82a: ${vpn} is mapped`);
    }
  }
}

function removePeers(w: World): void {
  const isHeld = w.held.some(({ page }) => w.mappedDevices.isPeer(page));
  const ret = w.mappedDevices.removePeers();
  if (ret !== (isHeld ? -EBUSY : 0)) throw new Mismatch(`removing the provider returned ${ret}`);
}

function removeDevdax(w: World): void {
  const isHeld = w.held.some(({ page }) => w.mappedDevices.isDevdax(page));
  const ret = w.mappedDevices.removeDevdax();
  if (ret !== (isHeld ? -EBUSY : 0)) throw new Mismatch(`removing device-dax returned ${ret}`);
}
