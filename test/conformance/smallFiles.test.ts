/**
 * Files of one line captured on real machines (captures/MACHINE/small-files.txt: path, tab, text)
 * against what the model shows at the same paths of the same machine, freshly booted: each file
 * that the model has is the same; those that it lacks are listed here.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { observedMachine } from '../../src/hw/index.ts';
import { Kernel } from '../../src/mm/index.ts';
import {
  formatStatus,
  formatSwaps,
  type KernelFile,
  kernelFileAt,
  kernelFiles,
  parseStatus,
  parseSwaps,
  type StatusRows,
  statusOf,
  swapsOf,
} from '../../src/proc/index.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const machines = JSON.parse(readFileSync(join(folder, 'machines.json'), 'utf8'));

function captured(machine: string, file: string): string {
  return readFileSync(join(folder, 'captures', machine, file), 'utf8');
}

function booted(machine: string): Kernel {
  return new Kernel(observedMachine(machines, machine), { seed: 1, trackContent: false });
}

/** Kinds of files that the model does not show, nodes and sizes as N. */
const NOT_SHOWN = [
  '/proc/sys/vm/movable_gigantic_pages',
  '/proc/sys/vm/numa_stat',
  '/proc/sys/vm/overcommit_ratio',
  '/sys/devices/system/memory/auto_online_blocks',
  '/sys/devices/system/node/has_generic_initiator',
  '/sys/kernel/mm/ksm/full_scans',
  '/sys/kernel/mm/ksm/general_profit',
  '/sys/kernel/mm/ksm/ksm_zero_pages',
  '/sys/kernel/mm/ksm/max_page_sharing',
  '/sys/kernel/mm/ksm/pages_scanned',
  '/sys/kernel/mm/ksm/pages_skipped',
  '/sys/kernel/mm/ksm/pages_to_scan',
  '/sys/kernel/mm/ksm/pages_unshared',
  '/sys/kernel/mm/ksm/pages_volatile',
  '/sys/kernel/mm/ksm/run',
  '/sys/kernel/mm/ksm/sleep_millisecs',
  '/sys/kernel/mm/ksm/smart_scan',
  '/sys/kernel/mm/ksm/stable_node_chains',
  '/sys/kernel/mm/ksm/stable_node_chains_prune_millisecs',
  '/sys/kernel/mm/ksm/stable_node_dups',
  '/sys/kernel/mm/ksm/use_zero_pages',
  '/sys/kernel/mm/transparent_hugepage/hugepages-NkB/shmem_enabled',
  '/sys/kernel/mm/transparent_hugepage/shrink_underused',
  '/sys/kernel/mm/transparent_hugepage/use_zero_page',
];

function textOf(file: KernelFile | number | null): string {
  if (file === null || typeof file === 'number' || file.kind !== 'text') return 'no text';
  return file.text();
}

const kindOf = (path: string) => path.replace(/node\d+/, 'nodeN').replace(/-\d+kB/, '-NkB');

describe.each(['four-nodes-cma', 'three-nodes-cxl'])('%s', (machine) => {
  const k = booted(machine);
  const lines = captured(machine, 'small-files.txt').trimEnd().split('\n');
  const files = lines.map((line) => line.split('\t', 1).concat(line.slice(line.indexOf('\t') + 1)));

  it('OV-1 TI-1 TI-2 TI-82 settings and facts of nodes: the same line in every file', () => {
    const shown = files.filter(([path]) => !NOT_SHOWN.includes(kindOf(path)));
    expect(shown.map(([path]) => [path, textOf(kernelFileAt(k, path))])).toEqual(
      shown.map(([path, text]) => [path, `${text}\n`]),
    );
  });

  it('what the model lacks is listed', () => {
    const missing = files.filter(([path]) => kernelFileAt(k, path) === null);
    const kinds = new Set(missing.map(([path]) => kindOf(path)));
    expect([...kinds].filter((kind) => !NOT_SHOWN.includes(kind))).toEqual([]);
  });

  it('PM-74 PM-115 memory blocks: the same blocks, states and zones', () => {
    const theirs = captured(machine, 'memory-blocks.txt').trimEnd().split('\n').sort();
    const ours = k.pm.memoryBlocks.numbers().map((block) => {
      const value = (name: string) =>
        textOf(kernelFileAt(k, `/sys/devices/system/memory/memory${block}/${name}`)).trim();
      const shown = ['phys_index', 'state', 'valid_zones', 'removable', 'phys_device'];
      const values = shown.map((name) => `${name}="${value(name)}"`).join(' ');
      return `memory${block} ${values} node=${k.pm.memoryBlocks.nid[block]}`;
    });
    expect(ours.sort()).toEqual(theirs);
  });

  it('swaps: the same layout, the same area', () => {
    const text = captured(machine, 'proc/swaps');
    const theirs = parseSwaps(text);
    expect(formatSwaps(theirs)).toBe(text);
    expect(swapsOf(k)).toEqual(theirs);
  });
});

describe('status', () => {
  const theirs = parseStatus(captured('four-nodes-cma', 'proc/self/status'));

  it('layout: what is read comes back byte by byte', () => {
    expect(formatStatus(theirs)).toBe(captured('four-nodes-cma', 'proc/self/status'));
  });

  it('our rows are rows of the kernel, in its order, and as wide', () => {
    const k = booted('four-nodes-cma');
    const ours = statusOf(k, k.spawn(null, 0));
    const rows = [...ours.keys()];
    expect([...theirs.keys()].filter((row) => rows.includes(row))).toEqual(rows);
    const widths = (status: StatusRows) =>
      rows.filter((row) => row.startsWith('Vm')).map((row) => status.get(row)!.length);
    expect(widths(ours)).toEqual(widths(theirs));
    expect(ours.get('Mems_allowed_list')).toBe(theirs.get('Mems_allowed_list'));
    expect(ours.get('Mems_allowed')).toBe(theirs.get('Mems_allowed'));
  });
});

describe('the tree of files', () => {
  it('has every path once, in order', () => {
    const paths = kernelFiles(booted('four-nodes-cma')).map((file) => file.path);
    expect([...new Set(paths)].sort()).toEqual(paths);
  });

  it('TI-82 -ENOENT for files of other kernels and machines, null for unknown ones', () => {
    const spec = observedMachine(machines, 'four-nodes-cma', '6.12');
    const k = new Kernel(spec, { seed: 1, trackContent: false });
    const auto = '/sys/kernel/mm/mempolicy/weighted_interleave/auto';
    expect(kernelFileAt(k, auto)).toBe(-2);
    expect(kernelFiles(k).some((file) => file.path === auto)).toBe(false);
    const tier = '/sys/devices/virtual/memory_tiering/memory_tier99/nodelist';
    expect(kernelFileAt(k, tier)).toBe(-2);
    expect(kernelFileAt(k, '/proc/uptime')).toBeNull();
  });
});
