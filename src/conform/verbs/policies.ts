/** Verbs of memory policy: mbind set_mempolicy set_mempolicy_home_node get_mempolicy. */
import { PAGE_SIZE } from '../../base/units.ts';
import {
  getMempolicy,
  mbind,
  nodesOf,
  setMempolicy,
  setMempolicyHomeNode,
} from '../../syscalls/index.ts';
import {
  MPOL_F_MEMS_ALLOWED,
  MPOL_F_NODE,
  MPOL_MODE_FLAGS,
  MPOL_MODE_NAMES,
} from '../../uapi/mempolicy.ts';
import type { Fields, Json } from '../caseFile.ts';
import { GET_FLAGS, MODE_FLAGS, MPOL_MF } from '../caseWords.ts';
import type { Inputs } from '../inputs.ts';
import { failure, returned } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';
import { maskOf } from './migrating.ts';

/** Mode number with its flags; "99" and the like stand for themselves. */
function modeOf(inputs: Inputs): number {
  const name = inputs.string('mode');
  const known = (MPOL_MODE_NAMES as readonly string[]).indexOf(name);
  const mode = known >= 0 ? known : Number(name);
  if (Number.isNaN(mode)) throw inputs.wrong('mode', `one of ${MPOL_MODE_NAMES.join(', ')}`);
  return mode | inputs.flags('mode_flags', MODE_FLAGS);
}

function doMbind(world: World, process: Process, inputs: Inputs): Fields {
  const start = process.address(inputs) + inputs.integerOr('offset', 0);
  const len = inputs.has('bytes')
    ? Number(inputs.get('bytes'))
    : world.count(inputs.get('n'), inputs.place) * PAGE_SIZE;
  const mask = maskOf(inputs, 'nodes');
  const flags = inputs.flags('flags', MPOL_MF);
  return returned(mbind(world.k, process.task, start, len, modeOf(inputs), mask, flags));
}

function doSetMempolicy(world: World, process: Process, inputs: Inputs): Fields {
  return returned(setMempolicy(world.k, process.task, modeOf(inputs), maskOf(inputs, 'nodes')));
}

function doHomeNode(world: World, process: Process, inputs: Inputs): Fields {
  const len = world.count(inputs.get('n'), inputs.place) * PAGE_SIZE;
  const node = inputs.integer('node');
  const flags = inputs.integerOr('flags', 0);
  const start = process.address(inputs);
  return returned(setMempolicyHomeNode(world.k, process.task, start, len, node, flags));
}

function doGetMempolicy(world: World, process: Process, inputs: Inputs): Fields {
  const flags = inputs.flags('flags', GET_FLAGS);
  const maxnode = inputs.has('maxnode') ? inputs.integer('maxnode') : null;
  const address = inputs.has('region') ? process.address(inputs, 'page') : 0;
  const answer = getMempolicy(world.k, process.task, maxnode, address, flags);
  if (typeof answer === 'number') return failure(answer);
  const out: { [field: string]: Json } = { ret: 0 };
  if (maxnode !== null) out.nodes = nodesOf(answer.nodes);
  if ((flags & MPOL_F_NODE) !== 0) out.node = answer.mode;
  else if ((flags & MPOL_F_MEMS_ALLOWED) === 0) {
    out.mode = MPOL_MODE_NAMES[answer.mode & ~MPOL_MODE_FLAGS];
    const set = Object.keys(MODE_FLAGS).filter((name) => (answer.mode & MODE_FLAGS[name]) !== 0);
    if (set.length > 0) out.mode_flags = set;
  }
  return out;
}

export const POLICY_VERBS: VerbTable = {
  mbind: doMbind,
  set_mempolicy: doSetMempolicy,
  set_mempolicy_home_node: doHomeNode,
  get_mempolicy: doGetMempolicy,
};
