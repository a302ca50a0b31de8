/**
 * What each definition of a coherent device memory node lets happen, from the RFC of 2016 to the
 * private nodes of 2026, beside an ordinary node: every cell of the table was tried
 * (nodeProbes.ts).
 * D6, DM-100..DM-106.
 */
import {
  NODE_CAPABILITY_TEXTS,
  NODE_PRESETS,
  type NodeCapability,
  type NodePreset,
} from '../hw/index.ts';
import type { FigureReader } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { NODE_PROBES, NodeStage } from './nodeProbes.ts';

const ORDINARY = 'ordinary';
const YES = 'yes';

function tried(capabilities: readonly NodeCapability[] | undefined, seed: number): boolean[] {
  return NODE_PROBES.map((probe) => probe.happens(new NodeStage(capabilities, seed)));
}

function measure({ seed }: LabRun): Measurement {
  const columns: (readonly boolean[])[] = [tried(undefined, seed)];
  for (const { capabilities } of NODE_PRESETS) columns.push(tried(capabilities, seed));
  const rows = NODE_PROBES.map(({ capability }, i): Cell[] => [
    capability,
    ...columns.map((column) => (column[i] ? YES : '-')),
  ]);
  const names = ['what', ORDINARY, ...NODE_PRESETS.map((preset) => preset.name)];
  const figure: Figure = {
    id: 'nodes',
    title: 'What happens on the node',
    columns: names.map((name) => ({ name, unit: '' })),
    rows,
    drawing: { kind: 'none' },
  };
  const data = Object.fromEntries(
    [ORDINARY, ...NODE_PRESETS.map((preset) => preset.name)].map((name, i) => [
      name,
      Object.fromEntries(NODE_PROBES.map((probe, n) => [probe.capability, columns[i][n] ? 1 : 0])),
    ]),
  );
  return { figures: [figure], published: [], data };
}

function count(figures: FigureReader, name: string): number {
  return NODE_PROBES.filter(({ capability }) => figures.text('nodes', [capability], name) === YES)
    .length;
}

function happens(figures: FigureReader, name: string, capability: NodeCapability): boolean {
  return figures.text('nodes', [capability], name) === YES;
}

/** Names of the presets that let something happen. */
function allowing(figures: FigureReader, capability: NodeCapability): string[] {
  return NODE_PRESETS.map((preset) => preset.name).filter((name) => {
    return happens(figures, name, capability);
  });
}

function kernelKeepsOut(figures: FigureReader): Finding {
  const open = allowing(figures, 'fallback');
  return {
    support: open.length === 0 ? 'supported' : 'not supported',
    because:
      open.length === 0
        ? 'under none of the four does an allocation end there unasked'
        : `allocations end there unasked under ${open.join(', ')}`,
  };
}

function leftAlone(figures: FigureReader): Finding {
  const names: NodeCapability[] = ['reclaim', 'numa_balancing', 'compaction', 'ksm', 'damon'];
  const touched = names.filter((name) => happens(figures, 'public-2017', name));
  return {
    support: touched.length === 0 ? 'supported' : 'partly',
    because:
      touched.length === 0
        ? 'reclaim, hint faults, compaction, KSM and DAMON leave the pages of 2017 alone'
        : `still working on them: ${touched.join(', ')}`,
  };
}

function userSpaceDecides(figures: FigureReader): Finding {
  const open = ['mempolicy', 'migrate_in', 'migrate_out'] as const;
  const with2016 = open.filter((name) => happens(figures, 'cdm-2016', name)).length;
  const with2022 = open.filter((name) => happens(figures, 'coherent-2022', name)).length;
  return {
    support: with2016 === open.length && with2022 === 0 ? 'supported' : 'partly',
    because:
      `of mbind, migration there and back ${with2016} of 3 work on the node of 2016, ` +
      `${with2022} of 3 on that of 2022`,
  };
}

export const nodePresets: Lab = {
  name: 'node-presets',
  question: 'What may the kernel do with a coherent device memory node, as it was defined when?',
  thread: 'coherent-device-memory-glisse-2016',
  missions: ['D6', 'F4'],
  rules: ['DM-100', 'DM-101', 'DM-103', 'DM-105', 'DM-106'],
  knobs: [],
  setup: () => [
    'Two nodes of 64 MiB: one with CPUs, one without that is a slower tier, with 128 MiB of swap.',
    ...NODE_PRESETS.map((preset: NodePreset) => `${preset.name}: ${preset.what}.`),
    ...NODE_PROBES.map(({ capability, what }) => {
      return `${capability} (${NODE_CAPABILITY_TEXTS[capability]}): ${what}.`;
    }),
    'Pages get to the node as their driver puts them there, by __GFP_THISNODE.',
  ],
  measure,
  verdict: (figures) => {
    const counts = NODE_PRESETS.map(({ name }) => `${count(figures, name)} (${name})`).join(', ');
    const all = count(figures, ORDINARY);
    return `Of ${all} things that happen on an ordinary node, so many are left: ${counts}.`;
  },
  positions: [
    {
      who: 'Khandual (2016)',
      says: 'device memory is a node that only those fill who ask for it, by the usual calls',
      judge: userSpaceDecides,
    },
    {
      who: 'Khandual (2016)',
      says: 'no allocation of the kernel may end on the device by itself',
      judge: kernelKeepsOut,
    },
    {
      who: 'Glisse (2016)',
      says: 'the kernel’s LRU and what builds on it should leave device memory alone',
      judge: leftAlone,
    },
  ],
  notModelled: [
    'ZONE_DEVICE pages of 2017 and 2022 answer -ENOENT to move_pages; pages of a node -EBUSY.',
    'DAMON and demotion did not exist in 2016 and 2017: the presets leave them off.',
    'What private nodes will be is under review: the preset opts into migration and mempolicy.',
  ],
};
