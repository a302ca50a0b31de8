/** Writes to memory blocks and hotplug settings below /sys: rows of sysfs.ts. */
import { UserError } from '../base/assert.ts';
import { writeBlockState } from '../mm/index.ts';
import { EINVAL, ENOENT } from '../uapi/errno.ts';
import type { SysfsFile } from './sysfs.ts';
import { runOffline } from './verbs/memoryBlocks.ts';
import type { World } from './world.ts';

const BLOCK = /^\/sys\/devices\/system\/memory\/memory(\d+)\/state$/;
const PARAMETER = /^\/sys\/module\/memory_hotplug\/parameters\/(\w+)$/;
/** A write without anybody to interrupt it is given up as endless after this time. */
const PATIENCE_NS = 600e9;

function writeState(world: World, block: number, word: string, path: string): number {
  if (!world.k.pm.memoryBlocks.exists(block)) return -ENOENT;
  const answer = writeBlockState(world.k, block, word);
  if (typeof answer === 'number') return answer;
  if (runOffline(world, answer, PATIENCE_NS)) {
    throw new UserError(path, 'the write does not return', 'use block.state with signal_after_s');
  }
  return answer.result;
}

function writeParameter(world: World, name: string, value: string): number {
  const { hotplug } = world.k;
  switch (name) {
    case 'online_policy':
      if (value !== 'contig-zones' && value !== 'auto-movable') return -EINVAL;
      hotplug.onlinePolicy = value;
      return 0;
    case 'auto_movable_ratio':
      if (!/^\d+$/.test(value)) return -EINVAL;
      hotplug.autoMovableRatio = Number(value);
      return 0;
    case 'auto_movable_numa_aware':
      if (!/^[01yn]$/i.test(value)) return -EINVAL;
      hotplug.autoMovableNumaAware = /^[1y]$/i.test(value);
      return 0;
    default:
      return -ENOENT;
  }
}

export const MEMORY_BLOCK_FILES: readonly SysfsFile[] = [
  {
    pattern: BLOCK,
    write: (world, value, match) => writeState(world, Number(match[1]), value, match[0]),
  },
  {
    pattern: PARAMETER,
    write: (world, value, match) => writeParameter(world, match[1], value),
  },
];
