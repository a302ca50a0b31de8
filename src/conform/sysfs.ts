/**
 * The files below /sys and /proc that cases read and write, as far as the model has what they show.
 * A file that is not here makes its case skipped; one that a kernel version did not have answers
 * -ENOENT.
 */

import {
  ksmPages,
  ksmUnmergeAll,
  nodeReclaim,
  setMergeAcrossNodes,
  type Task,
} from '../mm/index.ts';
import { EINVAL, ENOENT } from '../uapi/errno.ts';
import { buddyinfoLines } from './buddyinfo.ts';
import type { Fields } from './caseFile.ts';
import { parseReclaim } from './cgroups.ts';
import { HUGETLB_FILES } from './hugetlbFiles.ts';
import { NotModelled } from './inputs.ts';
import { failure, SUCCESS } from './outcome.ts';
import type { World } from './world.ts';

export interface SysfsFile {
  readonly pattern: RegExp;
  /** What cat prints, without the newline; a negative errno. Absent: write-only. */
  readonly read?: (world: World, match: RegExpExecArray) => string | number;
  /** 0 or a negative errno. Absent: read-only. */
  readonly write?: (world: World, value: string, match: RegExpExecArray, writer: Task) => number;
}

/** Setting of one folio size: /sys/kernel/mm/transparent_hugepage/hugepages-*kB/enabled. */
type ThpSetting = 'always' | 'inherit' | 'madvise' | 'never';
const THP_SETTINGS: readonly string[] = ['always', 'inherit', 'madvise', 'never'];

export class SysfsFiles {
  readonly #world: World;
  readonly #globalThp: 'always' | 'madvise' | 'never';
  /** hugepages-2048kB/enabled. */
  #pmdThp: ThpSetting = 'inherit';

  constructor(world: World) {
    this.#world = world;
    this.#globalThp = world.k.sysctl.thp_enabled;
  }

  read(path: string): Fields {
    for (const file of FILES) {
      const match = file.pattern.exec(path);
      if (match === null || file.read === undefined) continue;
      const value = file.read(this.#world, match);
      return typeof value === 'number' ? failure(value) : { value };
    }
    throw new NotModelled(`file ${path}`);
  }

  write(path: string, value: string, writer: Task): Fields {
    for (const file of FILES) {
      const match = file.pattern.exec(path);
      if (match === null || file.write === undefined) continue;
      const result = file.write(this.#world, value.trim(), match, writer);
      return result < 0 ? failure(result) : SUCCESS;
    }
    throw new NotModelled(`file ${path}`);
  }

  /** hugepages-<size>kB/enabled: the PMD size may follow the setting for all sizes. */
  setThp(sizeKib: number, value: string): number {
    if (!THP_SETTINGS.includes(value)) return -EINVAL;
    const setting = value as ThpSetting;
    const { sysctl } = this.#world.k;
    if (sizeKib === 2048) {
      this.#pmdThp = setting;
      sysctl.thp_enabled = setting === 'inherit' ? this.#globalThp : setting;
      return 0;
    }
    const bit = 1 << Math.round(orderOfKib(sizeKib));
    sysctl.mthpAlways &= ~bit;
    sysctl.mthpMadvise &= ~bit;
    // Sizes below 2 MiB are off by default and inherit only when they are told to.
    const effective = setting === 'inherit' ? this.#globalThp : setting;
    if (effective === 'always') sysctl.mthpAlways |= bit;
    if (effective === 'madvise') sysctl.mthpMadvise |= bit;
    return 0;
  }

  get pmdThp(): string {
    return this.#pmdThp;
  }
}

function orderOfKib(kib: number): number {
  return 31 - Math.clz32(kib / 4);
}

/** A number or -EINVAL. */
function wholeNumber(value: string): number {
  return /^\d+$/.test(value) ? Number(value) : -EINVAL;
}

function isOld(world: World): boolean {
  return world.k.spec.kernel === '6.1';
}

/** "0-2,4" of a node mask. */
export function nodeList(mask: number): string {
  const parts: string[] = [];
  for (let nid = 0; nid < 32; nid++) {
    if ((mask & (1 << nid)) === 0) continue;
    let last = nid;
    while (last < 31 && (mask & (1 << (last + 1))) !== 0) last++;
    parts.push(last === nid ? `${nid}` : `${nid}-${last}`);
    nid = last;
  }
  return parts.join(',');
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
    read: (world, match) => String(world.k.sysctl[nameOf(match)]),
    write: (world, value, match) => {
      const number = wholeNumber(value);
      if (number < 0) return number;
      world.k.sysctl[nameOf(match)] = number;
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
    read: (world) => String(world.k.sysctl.demotion_enabled),
    write: (world, value) => {
      if (!/^(true|false|[01yn])$/i.test(value)) return -EINVAL;
      world.k.sysctl.demotion_enabled = /^(true|1|y)$/i.test(value);
      return 0;
    },
  },
  {
    pattern: /^\/sys\/kernel\/mm\/mempolicy\/weighted_interleave\/node(\d+)$/,
    read: (world, match) => readWeight(world, Number(match[1])),
    write: (world, value, match) => writeWeight(world, Number(match[1]), value),
  },
  {
    pattern: /^\/sys\/kernel\/mm\/mempolicy\/weighted_interleave\/auto$/,
    read: (world) => (hasAutoWeights(world) ? String(world.k.interleaveAuto) : -ENOENT),
  },
  {
    pattern: /^\/sys\/kernel\/mm\/transparent_hugepage\/hugepages-(\d+)kB\/enabled$/,
    write: (world, value, match) =>
      isOld(world) ? -ENOENT : world.sysfs.setThp(Number(match[1]), value),
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
    read: (world) => (world.k.ksm.mergeAcrossNodes ? '1' : '0'),
    write: (world, value) =>
      /^[01]$/.test(value) ? setMergeAcrossNodes(world.k, value === '1') : -EINVAL,
  },
  {
    pattern: /^\/sys\/kernel\/mm\/ksm\/pages_(shared|sharing)$/,
    read: (world, match) => String(ksmPages(world.k)[match[1] as 'shared' | 'sharing']),
  },
  {
    pattern: /^\/sys\/devices\/system\/node\/node(\d+)\/reclaim$/,
    write: (world, value, match) => {
      if (!hasAutoWeights(world)) return -ENOENT;
      const request = parseReclaim(value);
      if (request === null) return -EINVAL;
      const swappiness = request.swappiness ?? world.k.sysctl.swappiness;
      return nodeReclaim(world.k, Number(match[1]), request.pages, swappiness);
    },
  },
  ...HUGETLB_FILES,
  {
    pattern: /^\/proc\/buddyinfo$/,
    read: (world) => buddyinfoLines(world.k).join('\n'),
  },
  {
    pattern: /^\/sys\/devices\/virtual\/memory_tiering\/memory_tier(\d+)\/nodelist$/,
    read: (world, match) => tierNodes(world, Number(match[1])),
  },
  {
    pattern: /^\/sys\/devices\/system\/node\/node(\d+)\/access0\/initiators\/read_latency$/,
    read: (world, match) => readLatency(world, Number(match[1])),
  },
  {
    pattern: /^\/sys\/devices\/system\/node\/has_memory$/,
    read: (world) => nodeList(world.k.pm.nodesWithMemory),
  },
];

/** 7.2 and 7.3: automatic weights, reclaim files of nodes. */
function hasAutoWeights(world: World): boolean {
  return world.k.spec.kernel === '7.3' || world.k.spec.kernel === '7.2';
}

function readWeight(world: World, nid: number): string | number {
  if (isOld(world) || world.k.pm.nodes[nid] === undefined) return -ENOENT;
  return String(world.k.interleaveWeights[nid]);
}

/** TI-82: a written weight ends the automatic mode. Until 6.15 0 or nothing meant "default", 1. */
function writeWeight(world: World, nid: number, value: string): number {
  if (isOld(world) || world.k.pm.nodes[nid] === undefined) return -ENOENT;
  const resets = !hasAutoWeights(world) && (value === '' || value === '0');
  const weight = resets ? 1 : wholeNumber(value);
  if (weight < 1 || weight > 255) return -EINVAL;
  world.k.setInterleaveWeight(nid, weight);
  return 0;
}

/** TI-1: memory_tierN holds the nodes whose abstract distance lies in chunk N. */
function tierNodes(world: World, id: number): string | number {
  let mask = 0;
  for (const node of world.k.pm.nodes) {
    if (!node.online) continue;
    if (world.k.tiers.tierOf(node.nid) === id) mask |= 1 << node.nid;
  }
  return mask === 0 ? -ENOENT : nodeList(mask);
}

function readLatency(world: World, nid: number): string | number {
  const node = world.machine.nodes.find((candidate) => candidate.node === nid);
  return node?.read_latency_ns === undefined ? -ENOENT : String(node.read_latency_ns);
}
