/** Verbs that move pages by address: move_pages, migrate_pages, race. */
import { PAGE_SIZE } from '../../base/units.ts';
import { loadWord, storeWord } from '../../mm/index.ts';
import {
  BAD_ADDRESSES,
  BAD_INTS,
  migratePagesCall,
  movePages,
  UserAddresses,
  UserInts,
  type UserNodeMask,
} from '../../syscalls/index.ts';
import { EBUSY, errnoName } from '../../uapi/errno.ts';
import type { Fields, Json } from '../caseFile.ts';
import { MPOL_MF } from '../caseWords.ts';
import type { Inputs } from '../inputs.ts';
import { returned } from '../outcome.ts';
import type { Process } from '../process.ts';
import { fromRuns, isRuns, toRuns } from '../runs.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

/** What the status array holds before the call. */
const UNWRITTEN = -987654;

/** Default maxnode of node masks in cases. */
const MAXNODE = 65;

function doMovePages(world: World, process: Process, inputs: Inputs): Fields {
  const name = inputs.string('pid');
  const target = world.processes.get(name) ?? process;
  const addresses = addressesOf(world, process, target, inputs);
  const pages =
    addresses === null ? BAD_ADDRESSES : new UserAddresses(Float64Array.from(addresses));
  const given = Number(inputs.get('count'));
  const count = given < 0 ? given + 2 ** 64 : given;
  const slots = new Int32Array(addresses?.length ?? Math.min(count, 1024)).fill(UNWRITTEN);
  const bad = inputs.has('status');
  const status = bad ? BAD_INTS : new UserInts(slots);
  const pid = world.pidOf(name, inputs.place);
  const flags = inputs.flags('flags', MPOL_MF);
  const nodes = nodesOf(inputs);
  const { k } = world;
  const result = movePages(k, process.task, pid, count, pages, nodes, status, flags);
  return bad ? returned(result) : { ...returned(result), status: toRuns(statusWords(slots)) };
}

function statusWords(slots: Int32Array): Json[] {
  return Array.from(slots, (status) => {
    if (status === UNWRITTEN) return 'unwritten';
    return status < 0 ? `-${errnoName(status)}` : status;
  });
}

/** Runs [region, first page, number, byte offset?] or one address; null for a NULL array. */
function addressesOf(
  world: World,
  process: Process,
  target: Process,
  inputs: Inputs,
): number[] | null {
  const pages = inputs.get('pages');
  if (pages === 'NULL') return null;
  if (!Array.isArray(pages)) throw inputs.wrong('pages', 'runs of pages or "NULL"');
  const addresses: number[] = [];
  for (const run of pages) {
    if (!Array.isArray(run)) throw inputs.wrong('pages', 'runs of pages or "NULL"');
    const name = String(run[0]);
    if (run.length === 1) {
      const special = name.startsWith('0x');
      const owner = target.special.has(name) ? target : process;
      const vpn = special ? 0 : world.specialPage(owner, name, inputs.place);
      addresses.push(special ? Number(name) : vpn * PAGE_SIZE);
      continue;
    }
    const owner = target.regions.has(name) ? target : process;
    const { start } = owner.region(name, inputs.place);
    const offset = Number(run[3] ?? 0);
    for (let n = 0; n < Number(run[2]); n++) {
      addresses.push((start + Number(run[1]) + n) * PAGE_SIZE + offset);
    }
  }
  return addresses;
}

function nodesOf(inputs: Inputs): UserInts | null {
  const nodes = inputs.get('nodes');
  if (nodes === null) return null;
  if (nodes === '0x8') return BAD_INTS;
  if (!isRuns(nodes)) throw inputs.wrong('nodes', 'runs of node numbers, null or "0x8"');
  return new UserInts(Int32Array.from(fromRuns(nodes), Number));
}

/** A node mask input: a list, or a pointer that cannot be read. [] is a null pointer. */
export function maskOf(inputs: Inputs, field: string): UserNodeMask {
  const maxnode = inputs.integerOr('maxnode', MAXNODE);
  const value = inputs.get(field);
  if (value === '0x8') return { bits: 'unreadable', maxnode };
  const bits = inputs.integers(field);
  return bits.length === 0 ? { bits: null, maxnode: 0 } : { bits, maxnode };
}

function doMigratePages(world: World, process: Process, inputs: Inputs): Fields {
  const pid = world.pidOf(inputs.string('pid'), inputs.place);
  const from = maskOf(inputs, 'old');
  const to = maskOf(inputs, 'new');
  return returned(migratePagesCall(world.k, process.task, pid, from, to));
}

/**
 * A writer stores a rising number while the page is moved to and fro: no store may be lost. Here
 * stores and moves take turns.
 */
function doRace(world: World, process: Process, inputs: Inputs): Fields {
  const vpn = process.firstPage(inputs, 'page');
  const { task: writer } = world.process(inputs.string('writer'), inputs.place);
  const nodes = inputs.integers('nodes');
  const flags = inputs.flags('flags', MPOL_MF);
  const moves = inputs.integer('moves');
  const { k } = world;
  const address = new UserAddresses(Float64Array.of(vpn * PAGE_SIZE));
  let ok = 0;
  let busy = 0;
  let mismatches = 0;
  let stored = 1;
  storeWord(k, writer, vpn, stored);
  for (let i = 0; i < moves; i++) {
    const node = new UserInts(Int32Array.of(nodes[i % nodes.length]));
    const slot = Int32Array.of(UNWRITTEN);
    movePages(k, process.task, 0, 1, address, node, new UserInts(slot), flags);
    if (slot[0] >= 0) ok++;
    else if (slot[0] === -EBUSY || slot[0] === UNWRITTEN) busy++;
    if (loadWord(k, writer, vpn) !== stored) mismatches++;
    storeWord(k, writer, vpn, ++stored);
  }
  const last = loadWord(k, writer, vpn) === stored ? 1 : 0;
  const other = moves - ok - busy;
  return {
    moves_ok: ok,
    moves_busy: busy,
    other,
    writer_mismatches: mismatches,
    last_value_matches: last,
  };
}

export const MIGRATING_VERBS: VerbTable = {
  move_pages: doMovePages,
  migrate_pages: doMigratePages,
  race: doRace,
};
