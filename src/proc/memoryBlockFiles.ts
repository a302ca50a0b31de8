/**
 * /sys/devices/system/memory: the memory blocks (drivers/base/memory.c), and the parameters of
 * memory_hotplug. PM-74, PM-115, PM-116.
 *
 * Not modelled: probe, hard_offline_page and soft_offline_page, crash_hotplug; auto_online_blocks,
 * as no block is added after boot.
 */
import { PAGE_SIZE, PAGES_PER_SECTION } from '../base/units.ts';
import { type Kernel, MEMORY_STATE_NAMES, validZones } from '../mm/index.ts';
import { type KernelFile, lineFile } from './kernelFile.ts';

const MEMORY = '/sys/devices/system/memory';
const PARAMETERS = '/sys/module/memory_hotplug/parameters';

export function memoryBlockFiles(k: Kernel): KernelFile[] {
  const { memoryBlocks } = k.pm;
  const { hotplug } = k;
  const files: KernelFile[] = [
    lineFile(`${MEMORY}/block_size_bytes`, () => hex(memoryBlocks.blockPages * PAGE_SIZE)),
    lineFile(`${PARAMETERS}/online_policy`, () => hotplug.onlinePolicy),
    lineFile(`${PARAMETERS}/auto_movable_ratio`, () => hotplug.autoMovableRatio),
    lineFile(`${PARAMETERS}/auto_movable_numa_aware`, () => yesOrNo(hotplug.autoMovableNumaAware)),
  ];
  for (const block of memoryBlocks.numbers()) files.push(...filesOfBlock(k, block));
  return files;
}

function filesOfBlock(k: Kernel, block: number): KernelFile[] {
  const at = `${MEMORY}/memory${block}`;
  return [
    lineFile(`${at}/phys_device`, () => 0),
    lineFile(`${at}/phys_index`, () => hex(physIndex(k, block)).padStart(8, '0')),
    lineFile(`${at}/removable`, () => 1),
    lineFile(`${at}/state`, () => MEMORY_STATE_NAMES[k.pm.memoryBlocks.state[block]]),
    lineFile(`${at}/valid_zones`, () => validZones(k, block)),
  ];
}

/** The block's first section, counted in blocks. */
function physIndex(k: Kernel, block: number): number {
  const { memoryBlocks } = k.pm;
  const sections = Math.max(1, memoryBlocks.blockPages / PAGES_PER_SECTION);
  return Math.floor(memoryBlocks.startPfn(block) / PAGES_PER_SECTION / sections);
}

function hex(n: number): string {
  return n.toString(16);
}

function yesOrNo(value: boolean): string {
  return value ? 'Y' : 'N';
}
