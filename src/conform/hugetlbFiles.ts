/** Writes to files of the hugetlb pool below /sys and /proc: rows of sysfs.ts. */
import type { Task } from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { MPOL_LOCAL } from '../uapi/mempolicy.ts';
import type { SysfsFile } from './sysfs.ts';
import type { World } from './world.ts';

const NODE = /^\/sys\/devices\/system\/node\/node(\d+)\/hugepages\/hugepages-2048kB\/(\w+)$/;
const ALL = /^\/sys\/kernel\/mm\/hugepages\/hugepages-2048kB\/(\w+)$/;

/** A number of pages for one node, or for all (-1). */
function resize(world: World, value: string, nid: number): number {
  if (!/^\d+$/.test(value)) return -EINVAL;
  world.k.hugetlb.resize(Number(value), nid);
  return 0;
}

/** init_nodemask_of_mempolicy: the nodes that the writer's own policy names. */
function nodesOfPolicy(writer: Task): number {
  const { policy } = writer;
  if (policy === null) return -1;
  return policy.mode === MPOL_LOCAL ? 1 << writer.cpuNid : policy.nodes;
}

function writeAll(world: World, value: string, name: string, writer: Task): number {
  if (name === 'nr_hugepages_mempolicy') {
    if (!/^\d+$/.test(value)) return -EINVAL;
    world.k.hugetlb.resize(Number(value), -1, nodesOfPolicy(writer));
    return 0;
  }
  if (name === 'nr_hugepages') return resize(world, value, -1);
  if (name !== 'nr_overcommit_hugepages' || !/^\d+$/.test(value)) return -EINVAL;
  world.k.hugetlb.overcommit = Number(value);
  return 0;
}

export const HUGETLB_FILES: readonly SysfsFile[] = [
  {
    pattern: NODE,
    write: (world, value, match) =>
      match[2] === 'nr_hugepages' ? resize(world, value, Number(match[1])) : -EINVAL,
  },
  {
    pattern: ALL,
    write: (world, value, match, writer) => writeAll(world, value, match[1], writer),
  },
  {
    pattern: /^\/proc\/sys\/vm\/(nr_(?:overcommit_)?hugepages|nr_hugepages_mempolicy)$/,
    write: (world, value, match, writer) => writeAll(world, value, match[1], writer),
  },
];
