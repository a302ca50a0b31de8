/**
 * docs/guidance/zone-movable.md: what to tell an administrator about pins and ZONE_MOVABLE, with
 * every figure measured on the model when the document is made (PM-52, PM-53). `npm run guidance`.
 */
import { decimal, FigureReader } from './figureReader.ts';
import { pinShare } from './pinShare.ts';
import { pinsVsUnplug } from './pinsVsUnplug.ts';
import { planZones, type ZonesAsked, type ZonesPlan } from './planZones.ts';
import { reviewersMachine } from './reviewersMachine.ts';
import { type LabResult, runLab } from './runLab.ts';

export const GUIDANCE = 'docs/guidance/zone-movable.md';

const SEED = 1;
/** The machine of the review at a quarter of its size. */
const REVIEWED = [
  'normal=128',
  'movable=128',
  'unmovable=64',
  'pinned=64',
  'user=128',
  'swap=256',
  'accesses=1000',
];
const PLANNED: ZonesAsked = {
  memoryMib: 1024,
  nodes: 1,
  cxlMib: 0,
  pinnedMib: 0,
  unmovableMib: 102,
  growthMib: 10,
  userMib: 0,
  swapMib: 0,
  blockMib: 16,
  hugePages: true,
  seed: SEED,
};
/** Percent of the memory that is pinned. */
const PINNED_SHARES = [0, 10, 20, 40, 60, 80] as const;

/** The same model makes the same document. */
export function guidanceDocument(): string {
  const machine = lab(reviewersMachine, REVIEWED);
  const unplug = lab(pinsVsUnplug, ['normal=64', 'movable=1024', 'user=640', 'pins=64']);
  const share = lab(pinShare, ['memory=128']);
  const plans = PINNED_SHARES.map((percent) => planZones(askedAt(percent)));
  return `${[
    '# Pinned memory and ZONE_MOVABLE',
    'Every figure on this page is measured on hetmem’s model by `npm run guidance`; the ' +
      'labs named ' +
      'print the whole of it. For your machine: `hetmem plan zones`.',
    '## In short',
    list([failing(machine), size(machine), most(share), unplugged(unplug), ...costs(machine)]),
    '## How large it may be',
    planIntroduction(),
    planTable(plans),
    `${lateText(plans)} ${exactText()}`,
    '## What not to rely on',
    list([shortPins(unplug)]),
  ].join('\n\n')}\n`;
}

function lab(one: Parameters<typeof runLab>[0], settings: readonly string[]): LabResult {
  return runLab(one, { seed: SEED, settings }, '');
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}

function failing(result: LabResult): string {
  const f = new FigureReader(result.figures);
  const free = decimal(f.number('outcome', ['after'], 'free in MOVABLE then'));
  const [asked, pinned] = ['asked to pin', 'pinned'].map((name) => {
    return decimal(f.number('outcome', ['after'], name));
  });
  const errno = f.text('outcome', ['after'], 'ended with');
  const { normal, movable, unmovable } = result.knobs;
  const kernel = `${unmovable} MiB of it the kernel’s`;
  const zones = `ZONE_NORMAL ${normal} MiB, ${kernel}, ZONE_MOVABLE ${movable} MiB`;
  if (pinned === asked) return `${zones}: all of ${asked} MiB can be pinned.`;
  return (
    `**Pinning can fail while much memory is free.** ${zones}: pinning ${asked} MiB ends with ` +
    `\`${errno}\` after ${pinned} MiB, and ${free} MiB are free in ZONE_MOVABLE ` +
    '(`hetmem lab reviewers-machine`, at a quarter of its size).'
  );
}

function size(result: LabResult): string {
  const needs = new FigureReader(result.figures).number('needed', ['after'], 'needs');
  const { unmovable, pinned } = result.knobs;
  return (
    '**Count pinned memory as kernel memory** when you size ZONE_MOVABLE: RDMA, VFIO, ' +
    'io_uring fixed ' +
    `buffers. ${unmovable} MiB of the kernel and ${pinned} MiB of pins need a ZONE_NORMAL of ` +
    `${needs} MiB.`
  );
}

function most(result: LabResult): string {
  const f = new FigureReader(result.figures);
  const [without, half] = [0, 50].map((percent) => decimal(f.number('shares', [percent], 'after')));
  return (
    `**Hosts that pin most of their memory should have little ZONE_MOVABLE or none**: ` +
    `${without} % of the ` +
    `memory can be pinned without it, ${half} % when it is half (\`hetmem lab pin-share\`).`
  );
}

function unplugged(result: LabResult): string {
  const f = new FigureReader(result.figures);
  const [was, is] = ['long, before', 'long, after'].map((kind) => {
    return f.number('tried', [kind], 'went offline');
  });
  const all = f.number('tried', ['long, after'], 'blocks');
  const pins = f.number('tried', ['long, after'], 'pinned');
  return (
    `**In return ZONE_MOVABLE can go offline**: with ${pins} pinned pages ${is} of ${all} ` +
    `blocks do; before ` +
    `Linux 5.13 it was ${was} (\`hetmem lab pins-vs-unplug\`).`
  );
}

function costs(result: LabResult): string[] {
  const f = new FigureReader(result.figures);
  const moved = f.number('outcome', ['after'], 'migrated');
  if (moved === 0) return [];
  const ms = f.number('outcome', ['after'], 'migration time');
  return [
    `**Pinning costs migrations** of what lies in ZONE_MOVABLE: ${decimal(moved)} MiB in ` +
      `${decimal(ms)} ms ` +
      'of CPU time above.',
  ];
}

function askedAt(percent: number): ZonesAsked {
  const pinnedMib = Math.floor((PLANNED.memoryMib * percent) / 100);
  const left = PLANNED.memoryMib - pinnedMib - PLANNED.unmovableMib - PLANNED.growthMib;
  return { ...PLANNED, pinnedMib, userMib: Math.max(0, Math.floor(0.8 * left)) };
}

function planIntroduction(): string {
  const { memoryMib, unmovableMib, growthMib, blockMib } = PLANNED;
  return (
    `A node of ${memoryMib} MiB, of which the kernel takes ${unmovableMib} MiB and later ` +
    `${growthMib} MiB ` +
    `more; programs fill 80 % of the rest with huge pages. Found by trying, in steps of ` +
    `${blockMib} MiB.`
  );
}

function planTable(plans: readonly ZonesPlan[]): string {
  const rows = plans.map((plan, i) => {
    const { movableMib, normalMib, asked } = plan;
    const share =
      movableMib === null ? '' : ` (${Math.round((100 * movableMib) / asked.memoryMib)} %)`;
    const late = plan.risks.find(({ pins }) => pins === 'late');
    const lateMib = late === undefined ? '–' : `${decimal(late.pinnedMib)} MiB`;
    const most = movableMib === null ? 'no size works' : `${movableMib} MiB${share}`;
    const normal = normalMib === null ? '–' : `${normalMib} MiB`;
    const cells = [`${PINNED_SHARES[i]} %`, `${asked.pinnedMib} MiB`, most, normal, lateMib];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| pinned | | ZONE_MOVABLE at most | ZONE_NORMAL | of that, pinned late |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function lateText(plans: readonly ZonesPlan[]): string {
  const short = plans.filter(({ risks }) => {
    return risks.some(({ pins, pinnedMib, askedMib }) => pins === 'late' && pinnedMib < askedMib);
  });
  const tried = plans.filter(({ risks }) => risks.length > 0).length;
  return (
    `“Pinned late” is what can be pinned once other programs have filled the memory: less ` +
    `than asked in ` +
    `${short.length} of ${tried} cases, because their movable memory lies in ZONE_NORMAL, ` +
    `too. Pin first.`
  );
}

function exactText(): string {
  return '`hetmem plan zones` warns where a tenth more pinned memory fails, and above 4:1.';
}

function shortPins(result: LabResult): string {
  const f = new FigureReader(result.figures);
  const all = f.number('tried', ['short'], 'blocks');
  const held = f.number('tried', ['short'], 'ended by ^C (-EINTR)');
  const released = f.number('tried', ['short'], 'went offline once unpinned');
  return (
    `Short pins (direct I/O) may still lie in ZONE_MOVABLE: while they last, offlining ` +
    `${held} of ${all} blocks ` +
    `goes on until a signal; once they are dropped ${released} of ${all} go offline.`
  );
}
