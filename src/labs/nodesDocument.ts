/**
 * docs/model/device-nodes.md: what each definition of a device memory node lets happen, tried on
 * the model when the document is made. `npm run device-nodes`.
 */
import { NODE_CAPABILITY_TEXTS, NODE_PRESETS } from '../hw/index.ts';
import { nodePresets } from './nodePresets.ts';
import { NODE_PROBES } from './nodeProbes.ts';
import { type LabResult, runLab } from './runLab.ts';

export const NODES_DOCUMENT = 'docs/model/device-nodes.md';

export function nodesDocument(): string {
  const result = runLab(nodePresets, { seed: 1, settings: [] }, '');
  return `${[
    '# Device memory nodes',
    '',
    'Made by `npm run device-nodes`, which tries every cell on the model; nobody edits it by hand.',
    '`hetmem lab node-presets` prints the same table.',
    '',
    'A node of a machine file may leave out things that the kernel does with memory:',
    '',
    '    nodes:',
    '      - kind: dram',
    '        …',
    '      - kind: hbm',
    '        capabilities: cdm-2016                  # a preset',
    '      - kind: hbm',
    '        capabilities: [mempolicy, migrate_in]   # or what it allows',
    '',
    'Without the key a node is ordinary. Allocations with `__GFP_THISNODE`, as a driver makes',
    'them, ask no capability.',
    '',
    '| capability | lets happen | tried by |',
    '|---|---|---|',
    ...NODE_PROBES.map(({ capability, what }) => {
      return `| \`${capability}\` | ${NODE_CAPABILITY_TEXTS[capability]} | ${what} |`;
    }),
    '',
    '| preset | definition |',
    '|---|---|',
    ...NODE_PRESETS.map(({ name, what }) => `| \`${name}\` | ${what} |`),
    '',
    '## What happens',
    '',
    ...table(result),
    '',
    result.verdict,
    '',
    '## What is not modelled',
    '',
    ...nodePresets.notModelled.map((line) => `- ${line}`),
  ].join('\n')}\n`;
}

function table(result: LabResult): string[] {
  const [{ columns, rows }] = result.figures;
  return [
    `| ${columns.map(({ name }) => name).join(' | ')} |`,
    `|${columns.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ];
}
