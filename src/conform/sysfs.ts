/**
 * The files below /sys and /proc that cases read (what proc/ shows) and write (the table here). A
 * file that the model does not have makes its case skipped; one that a kernel version did not have
 * answers -ENOENT.
 */

import { PAGE_SIZE } from '../base/units.ts';
import {
  compactMemory,
  compactNodeByHand,
  ksmUnmergeAll,
  nodeReclaim,
  offlinePfn,
  setMaxPageSharing,
  setMergeAcrossNodes,
  setThpEnabled,
  setThpOfOrder,
  type Task,
} from '../mm/index.ts';
import { DAMON_ROOT, kernelFileAt, writeDamonFile } from '../proc/index.ts';
import { EINVAL, ENOENT } from '../uapi/errno.ts';
import type { Fields } from './caseFile.ts';
import { parseReclaim } from './cgroups.ts';
import { CMA_FILES } from './cmaFiles.ts';
import { HUGETLB_FILES } from './hugetlbFiles.ts';
import { NotModelled } from './inputs.ts';
import { MEMORY_BLOCK_FILES } from './memoryBlockFiles.ts';
import { failure, SUCCESS } from './outcome.ts';
import { SETTING_FILES } from './settingFiles.ts';
import type { World } from './world.ts';

/** How long a writer sleeps before it looks again whether DAMON answered. */
const WAIT_NS = 1_000_000;

export interface SysfsFile {
  readonly pattern: RegExp;
  /** 0 or a negative errno. */
  readonly write: (world: World, value: string, match: RegExpExecArray, writer: Task) => number;
}

export class SysfsFiles {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** What cat prints, without the last newline. */
  read(path: string): Fields {
    const file = kernelFileAt(this.#world.k, path);
    if (typeof file === 'number') return failure(file);
    if (file?.kind !== 'text') throw new NotModelled(`file ${path}`);
    return { value: file.text().replace(/\n$/, '') };
  }

  write(path: string, value: string, writer: Task): Fields {
    if (path.startsWith(DAMON_ROOT)) {
      const wait = () => this.#world.advance(WAIT_NS);
      return done(writeDamonFile(this.#world.k, path, value.trim(), wait));
    }
    for (const file of FILES) {
      const match = file.pattern.exec(path);
      if (match === null) continue;
      return done(file.write(this.#world, value.trim(), match, writer));
    }
    throw new NotModelled(`file ${path}`);
  }
}

/** write(2) of the whole text. */
function done(result: number): Fields {
  return result < 0 ? failure(result) : SUCCESS;
}

/** A number or -EINVAL. */
function wholeNumber(value: string): number {
  return /^\d+$/.test(value) ? Number(value) : -EINVAL;
}

function orderOfKib(kib: number): number {
  return 31 - Math.clz32(kib / 4);
}

const SYSCTL_NUMBERS = [
  'numa_balancing',
  'numa_balancing_promote_rate_limit_MBps',
  'numa_balancing_scan_delay_ms',
  'numa_balancing_scan_period_min_ms',
  'numa_balancing_scan_period_max_ms',
  'numa_balancing_scan_size_mb',
  'numa_balancing_hot_threshold_ms',
  'swappiness',
  'zone_reclaim_mode',
] as const;

/** proc_dointvec_minmax: MAX_SWAPPINESS; SYSCTL_FOUR. */
const SYSCTL_MAX: Readonly<Record<string, number | undefined>> = {
  swappiness: 200,
  numa_balancing: 4,
};

type NumberSysctl = (typeof SYSCTL_NUMBERS)[number];

/** A file that holds one number of k.sysctl. */
function numberFile(pattern: RegExp, prefix: string): SysfsFile {
  const nameOf = (match: RegExpExecArray): NumberSysctl => {
    const name = `${prefix}${match[1]}`;
    const known = SYSCTL_NUMBERS.find((candidate) => candidate === name);
    if (known === undefined) throw new NotModelled(`file ${match[0]}`);
    return known;
  };
  return {
    pattern,
    write: (world, value, match) => {
      const name = nameOf(match);
      const number = wholeNumber(value);
      if (number < 0) return number;
      if (number > (SYSCTL_MAX[name] ?? number)) return -EINVAL;
      world.k.sysctl[name] = number;
      return 0;
    },
  };
}

const FILES: readonly SysfsFile[] = [
  numberFile(/^\/proc\/sys\/kernel\/(numa_balancing(?:_promote_rate_limit_MBps)?)$/, ''),
  numberFile(/^\/proc\/sys\/vm\/(swappiness|zone_reclaim_mode)$/, ''),
  numberFile(/^\/sys\/kernel\/debug\/sched\/numa_balancing\/(\w+)$/, 'numa_balancing_'),
  {
    pattern: /^\/sys\/kernel\/mm\/numa\/demotion_enabled$/,
    write: (world, value) => {
      if (!/^(true|false|[01yn])$/i.test(value)) return -EINVAL;
      world.k.sysctl.demotion_enabled = /^(true|1|y)$/i.test(value);
      return 0;
    },
  },
  {
    pattern: /^\/sys\/devices\/system\/memory\/(hard|soft)_offline_page$/,
    write: (world, value, match) => {
      if (!/^(0x[0-9a-f]+|\d+)$/i.test(value)) return -EINVAL;
      return offlinePfn(world.k, Math.floor(Number(value) / PAGE_SIZE), match[1] === 'soft');
    },
  },
  {
    pattern: /^\/sys\/kernel\/mm\/mempolicy\/weighted_interleave\/node(\d+)$/,
    write: (world, value, match) => writeWeight(world, Number(match[1]), value),
  },
  {
    pattern: /^\/sys\/kernel\/mm\/transparent_hugepage\/hugepages-(\d+)kB\/enabled$/,
    write: (world, value, match) =>
      world.k.profile.mthpSizes
        ? setThpOfOrder(world.k, orderOfKib(Number(match[1])), value)
        : -ENOENT,
  },
  {
    pattern: /^\/sys\/kernel\/mm\/transparent_hugepage\/enabled$/,
    write: (world, value) => setThpEnabled(world.k, value),
  },
  {
    pattern: /^\/sys\/kernel\/mm\/ksm\/run$/,
    write: (world, value, _match, writer) => {
      if (!/^[012]$/.test(value)) return -EINVAL;
      if (value === '2') ksmUnmergeAll(world.k, writer);
      return 0;
    },
  },
  {
    pattern: /^\/sys\/kernel\/mm\/ksm\/merge_across_nodes$/,
    write: (world, value) =>
      /^[01]$/.test(value) ? setMergeAcrossNodes(world.k, value === '1') : -EINVAL,
  },
  {
    pattern: /^\/sys\/kernel\/mm\/ksm\/max_page_sharing$/,
    write: (world, value) =>
      /^\d+$/.test(value) ? setMaxPageSharing(world.k, Number(value)) : -EINVAL,
  },
  {
    pattern: /^\/sys\/kernel\/mm\/ksm\/smart_scan$/,
    write: (world, value) => {
      if (!world.k.profile.ksmSmartScan) return -ENOENT;
      if (!/^[01]$/.test(value)) return -EINVAL;
      world.k.ksm.smartScan = value === '1';
      return 0;
    },
  },
  {
    pattern: /^\/sys\/devices\/system\/node\/node(\d+)\/reclaim$/,
    write: (world, value, match) => {
      if (!world.k.profile.nodeReclaimFile) return -ENOENT;
      const request = parseReclaim(value);
      if (request === null) return -EINVAL;
      const swappiness = request.swappiness ?? world.k.sysctl.swappiness;
      return nodeReclaim(world.k, Number(match[1]), request.pages, swappiness);
    },
  },
  ...SETTING_FILES,
  ...HUGETLB_FILES,
  ...MEMORY_BLOCK_FILES,
  ...CMA_FILES,
  {
    pattern: /^\/sys\/devices\/system\/node\/node(\d+)\/compact$/,
    write: (world, _value, match) => compactOneNode(world, Number(match[1])),
  },
  {
    pattern: /^\/proc\/sys\/vm\/compact_memory$/,
    write: (world, value) => {
      if (value !== '1') return -EINVAL;
      compactMemory(world.k);
      return 0;
    },
  },
  {
    pattern: /^\/proc\/sys\/vm\/(compaction_proactiveness|extfrag_threshold)$/,
    write: (world, value, match) => writeCompaction(world, match[1], wholeNumber(value)),
  },
  {
    pattern: /^\/proc\/sys\/vm\/compact_unevictable_allowed$/,
    write: (world, value) => {
      if (!/^[01]$/.test(value)) return -EINVAL;
      world.k.compaction.unevictableAllowed = value === '1';
      return 0;
    },
  },
];

/** compact_store of a node: whatever is written. */
function compactOneNode(world: World, nid: number): number {
  if (world.k.pm.nodes[nid]?.online !== true) return -ENOENT;
  compactNodeByHand(world.k, nid);
  return 0;
}

function writeCompaction(world: World, name: string, value: number): number {
  const isThreshold = name === 'extfrag_threshold';
  if (value < 0 || value > (isThreshold ? 1000 : 100)) return -EINVAL;
  if (isThreshold) world.k.compaction.extfragThreshold = value;
  else world.k.compaction.proactiveness = value;
  return 0;
}

function hasWeight(world: World, nid: number): boolean {
  return world.k.profile.weightedInterleave && world.k.pm.nodes[nid] !== undefined;
}

/** TI-82: a written weight ends the automatic mode. Until 6.15 0 or nothing meant "default", 1. */
function writeWeight(world: World, nid: number, value: string): number {
  if (!hasWeight(world, nid)) return -ENOENT;
  const resets = !world.k.profile.autoInterleaveWeights && (value === '' || value === '0');
  const weight = resets ? 1 : wholeNumber(value);
  if (weight < 1 || weight > 255) return -EINVAL;
  world.k.setInterleaveWeight(nid, weight);
  return 0;
}
