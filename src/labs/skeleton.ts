/**
 * Copy me: a whole lab, as small as it gets. It asks how many pages a full zone of two can still
 * give, which no thread argues about.
 *
 * A lab of yours: name the thread and the rules that decide, state the machine in `setup`, measure
 * figures (never words), and make verdict and findings from the figures alone. Add it to list.ts,
 * with a test in which a changed figure changes the verdict.
 */
import { integerKnob, numberOf } from '../policy/index.ts';
import type { Lab } from './lab.ts';
import { LabMachine, PAGES_PER_MIB, twoZones } from './labMachine.ts';

export const skeleton: Lab = {
  name: 'skeleton',
  question: 'How much of a node does the kernel get for itself?',
  thread: 'none',
  missions: [],
  rules: ['PM-30'],
  knobs: [
    integerKnob('movable', 64, 0, 1024, 'MiB', 'size of ZONE_MOVABLE; ZONE_NORMAL has 64 MiB'),
  ],
  setup: (knobs) => [`ZONE_NORMAL 64 MiB, ZONE_MOVABLE ${numberOf(knobs, 'movable')} MiB.`],
  measure: ({ knobs, seed }) => {
    const movable = numberOf(knobs, 'movable');
    const machine = new LabMachine({ nodes: [twoZones(64, movable)], seed });
    const got = machine.takeKernelPages((64 + movable) * PAGES_PER_MIB);
    const columns = [
      { name: 'asked', unit: 'MiB' },
      { name: 'got', unit: 'MiB' },
    ];
    const rows = [[64 + movable, got / PAGES_PER_MIB]];
    const title = 'Memory for the kernel';
    const figures = [{ id: 'got', title, columns, rows, drawing: { kind: 'none' } as const }];
    return { figures, published: [], data: { run: machine.counters() } };
  },
  verdict: (figures) => {
    const [[got], [asked]] = [figures.column('got', 'got'), figures.column('got', 'asked')];
    return `The kernel gets ${Math.round((100 * got) / asked)} % of the node.`;
  },
  positions: [],
  notModelled: [],
};
