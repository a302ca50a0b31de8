/** Writes to sysctls and settings of memory management: rows of sysfs.ts. */
import { dropPagecache, setWatermarkSysctls } from '../mm/index.ts';
import { EINVAL, ENOENT } from '../uapi/errno.ts';
import type { SysfsFile } from './sysfs.ts';
import type { World } from './world.ts';

/** A whole number between two bounds, or -EINVAL (proc_dointvec_minmax). */
function bounded(value: string, min: number, max: number): number {
  if (!/^[-+]?\d+$/.test(value)) return -EINVAL;
  const number = Number(value);
  return number >= min && number <= max ? number : -EINVAL;
}

function writeWatermark(world: World, name: string, value: string): number {
  const { pm } = world.k;
  const number = bounded(value, name === 'watermark_scale_factor' ? 1 : 0, SCALE_MAX[name]);
  if (number < 0) return number;
  if (name === 'watermark_boost_factor') pm.watermarkBoostFactor = number;
  else if (name === 'min_free_kbytes') setWatermarkSysctls(pm, number, pm.watermarkScaleFactor);
  else setWatermarkSysctls(pm, Math.max(pm.userMinFreeKbytes, 0), number);
  return 0;
}

const SCALE_MAX: Readonly<Record<string, number>> = {
  min_free_kbytes: 2147483647,
  watermark_scale_factor: 3000,
  watermark_boost_factor: 2147483647,
};

const DEFRAG = ['always', 'defer', 'defer+madvise', 'madvise', 'never'] as const;
const SHMEM = ['always', 'within_size', 'advise', 'never', 'deny', 'force'] as const;

export const SETTING_FILES: readonly SysfsFile[] = [
  {
    pattern: /^\/proc\/sys\/vm\/(min_free_kbytes|watermark_scale_factor|watermark_boost_factor)$/,
    write: (world, value, match) => writeWatermark(world, match[1], value),
  },
  {
    pattern: /^\/proc\/sys\/vm\/overcommit_memory$/,
    write: (world, value) => {
      const mode = bounded(value, 0, 2);
      if (mode >= 0) world.k.sysctl.overcommit_memory = mode;
      return Math.min(mode, 0);
    },
  },
  {
    // 2 drops slab objects, of which the model has none.
    pattern: /^\/proc\/sys\/vm\/drop_caches$/,
    write: (world, value) => {
      const what = bounded(value, 1, 4);
      if (what > 0 && (what & 1) !== 0) dropPagecache(world.k);
      return Math.min(what, 0);
    },
  },
  {
    pattern: /^\/sys\/kernel\/mm\/transparent_hugepage\/defrag$/,
    write: (world, value) => {
      const defrag = DEFRAG.find((word) => word === value);
      if (defrag === undefined) return -EINVAL;
      world.k.sysctl.thp_defrag = defrag;
      return 0;
    },
  },
  {
    pattern: /^\/sys\/kernel\/mm\/transparent_hugepage\/shmem_enabled$/,
    write: (world, value) => {
      const enabled = SHMEM.find((word) => word === value);
      if (enabled === undefined) return -EINVAL;
      world.k.sysctl.shmem_thp = enabled as typeof world.k.sysctl.shmem_thp;
      return 0;
    },
  },
  {
    pattern: /^\/sys\/kernel\/mm\/mempolicy\/weighted_interleave\/auto$/,
    write: (world, value) => {
      if (!world.k.profile.autoInterleaveWeights) return -ENOENT;
      if (!/^([yn01]|on|off|true|false)$/i.test(value)) return -EINVAL;
      if (/^(y|1|on|true)$/i.test(value)) world.k.restoreInterleaveWeights();
      else world.k.interleaveAuto = false;
      return 0;
    },
  },
];
