import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { observedMachine } from '../hw/index.ts';
import { Kernel, OfflineOp, writeBlockState } from '../mm/index.ts';
import { kernelFileAt } from './fileTree.ts';

const text = readFileSync(new URL('../../test/conformance/machines.json', import.meta.url), 'utf8');

function cat(k: Kernel, path: string): string {
  const file = kernelFileAt(k, path);
  if (file === null || typeof file === 'number' || file.kind !== 'text') throw new Error(path);
  return file.text();
}

describe('/sys/devices/system/memory', () => {
  const k = new Kernel(observedMachine(JSON.parse(text), 'four-nodes-cma'), {
    seed: 1,
    trackContent: false,
  });
  const at = (name: string) => cat(k, `/sys/devices/system/memory/${name}`);

  it('PM-115: a block as a running kernel shows it', () => {
    expect(at('block_size_bytes')).toBe('8000000\n');
    expect(at('memory44/phys_index')).toBe('0000002c\n');
    expect(at('memory44/state')).toBe('online\n');
    expect(at('memory44/removable')).toBe('1\n');
    expect(at('memory44/phys_device')).toBe('0\n');
    expect(at('memory44/valid_zones')).toBe('Normal\n');
    expect(at('memory0/valid_zones')).toBe('none\n');
    expect(kernelFileAt(k, '/sys/devices/system/memory/memory8/state')).toBe(-2);
  });

  it('PM-74: one that is offline, and what the node has left', () => {
    const op = writeBlockState(k, 63, 'offline');
    if (!(op instanceof OfflineOp)) throw new Error(`offline answered ${op}`);
    expect(at('memory63/state')).toBe('going-offline\n');
    while (!op.step());
    expect(at('memory63/state')).toBe('offline\n');
    expect(at('memory63/valid_zones')).toBe('Normal Movable\n');
    const meminfo = cat(k, '/sys/devices/system/node/node3/meminfo');
    expect(meminfo).toMatch(/Node 3 MemTotal: +393216 kB/);
    expect(cat(k, '/proc/zoneinfo')).toMatch(/Node 3, zone +Movable[^N]*present +98304/);
  });

  it('PM-116: the parameters of memory_hotplug', () => {
    const parameters = '/sys/module/memory_hotplug/parameters';
    expect(cat(k, `${parameters}/online_policy`)).toBe('contig-zones\n');
    expect(cat(k, `${parameters}/auto_movable_ratio`)).toBe('301\n');
    expect(cat(k, `${parameters}/auto_movable_numa_aware`)).toBe('Y\n');
  });
});
