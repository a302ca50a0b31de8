/**
 * Host memory for a device that reads it: a type-2 accelerator that reaches the memory of two
 * nodes, over a link of its own to each, or over one link and the way between the sockets. Whether
 * closer memory pays for its migration, and whether one node or both should have it. A8, TI-82.
 */
import {
  type AcceleratorContext,
  type AcceleratorSpec,
  PrivateAccelerator,
} from '../drivers/index.ts';
import {
  DEVICE_COST_DEFAULTS,
  type DeviceLink,
  deviceLinksNs,
  type LinkUse,
  linkTo,
} from '../hw/index.ts';
import { findBrokenInvariants, makePolicy } from '../mm/index.ts';
import { type KnobValues, numberKnob, numberOf } from '../policy/index.ts';
import { MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LAB_ACCELERATOR, opened, probed } from './labAccelerator.ts';
import { LabMachine, migrationMs, twoZones } from './labMachine.ts';

const PAGES = 256;
const RANGE_PAGES = 16;
/** Accesses of the device to each page. */
const DENSITIES = [1, 16, 64, 256, 1024, 4096] as const;
/** Accesses to a range before its host memory moves. */
const THRESHOLD = 64;
const LINK = DEVICE_COST_DEFAULTS.linkBandwidth;
const NEAR = 1;
const FAR = 0;

const PLACES = ['near', 'far', 'interleaved', 'weighted'] as const;
type Place = (typeof PLACES)[number];

/** The links of the device: its own to node 1; to node 0 what the knobs say. */
function linksOf(latencyNs: number, percent: number): DeviceLink[] {
  const { linkLatencyNs } = DEVICE_COST_DEFAULTS;
  return [
    { nid: NEAR, latencyNs: linkLatencyNs, bandwidth: LINK },
    { nid: FAR, latencyNs: linkLatencyNs + latencyNs, bandwidth: (LINK * percent) / 100 },
  ];
}

class DeviceReader {
  readonly machine: LabMachine;
  readonly device: PrivateAccelerator;
  readonly #context: AcceleratorContext;
  readonly #links: readonly DeviceLink[];
  readonly #program;

  constructor(links: readonly DeviceLink[], isMoved: boolean, seed: number) {
    this.#links = links;
    this.machine = new LabMachine({
      nodes: [twoZones(64, 0), { ...twoZones(64, 0), cpus: [1] }],
      seed,
      deviceSections: 1,
    });
    const spec: AcceleratorSpec = {
      ...LAB_ACCELERATOR,
      nid: NEAR,
      placement: isMoved ? 'near' : 'hint',
      rangePages: RANGE_PAGES,
      counterThreshold: THRESHOLD,
      links,
    };
    this.device = probed(new PrivateAccelerator(this.machine.k, spec));
    this.#program = this.machine.program();
    this.#context = opened(this.device, this.#program.task);
  }

  /** A program of node 0 fills memory where `place` says; then the device reads each page. */
  run(place: Place, density: number): void {
    const { k } = this.machine;
    const nodes = place === 'near' ? 1 << NEAR : place === 'far' ? 1 << FAR : (1 << NEAR) | 1;
    const mode =
      place === 'interleaved'
        ? MPOL_INTERLEAVE
        : place === 'weighted'
          ? MPOL_WEIGHTED_INTERLEAVE
          : MPOL_BIND;
    for (const { nid, bandwidth } of this.#links) {
      const least = Math.min(...this.#links.map((link) => link.bandwidth));
      k.setInterleaveWeight(nid, Math.max(1, Math.round(bandwidth / least)));
    }
    const policy = makePolicy(mode, 0, nodes, (1 << NEAR) | (1 << FAR));
    if (typeof policy !== 'number') this.#program.task.setPolicy(policy);
    const start = this.#program.map(PAGES);
    this.#program.touch(start, PAGES);
    for (let round = 0; round < density; round++) {
      for (let n = 0; n < PAGES; n++) this.#context.load(this.#program.task, start + n);
    }
  }

  /** Time of the device's accesses over all its links at once, and of its faults. */
  get deviceMs(): number {
    const uses: LinkUse[] = [...this.device.remoteByNode].map(([nid, accesses]) => {
      return { link: linkTo(DEVICE_COST_DEFAULTS, this.#links, nid), accesses };
    });
    const ns = deviceLinksNs(DEVICE_COST_DEFAULTS, uses) + this.device.stats.stalledNs;
    return ns / 1e6;
  }

  /** GB/s of the accesses alone. */
  get throughput(): number {
    const { remoteAccesses, stalledNs } = this.device.stats;
    const bytes = remoteAccesses * DEVICE_COST_DEFAULTS.accessBytes;
    return bytes / (this.deviceMs * 1e6 - stalledNs);
  }
}

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  let broken = 0;
  const closer = DENSITIES.map((density): Cell[] => {
    const links = linksOf(numberOf(knobs, 'hop'), numberOf(knobs, 'across'));
    const [stays, moved] = [false, true].map((isMoved) => {
      const reader = new DeviceReader(links, isMoved, seed);
      reader.run('far', density);
      broken += findBrokenInvariants(reader.machine.k).length;
      return reader;
    });
    const { pagesNear } = moved.device.stats;
    data[`moved, ${density}`] = { ...moved.machine.counters(), ...moved.device.stats };
    const movedMs = moved.deviceMs + (pagesNear > 0 ? migrationMs(pagesNear) : 0);
    const gain = stays.deviceMs / movedMs;
    const cells = [rounded(stays.deviceMs, 3), rounded(movedMs, 3), rounded(gain, 2)];
    return [density, ...cells, pagesNear];
  });
  const both = PLACES.map((place): Cell[] => {
    const reader = new DeviceReader(linksOf(0, numberOf(knobs, 'second')), false, seed);
    reader.run(place, 64);
    broken += findBrokenInvariants(reader.machine.k).length;
    const { remoteByNode } = reader.device;
    data[place] = { ...reader.device.stats };
    return [
      place,
      rounded((100 * (remoteByNode.get(NEAR) ?? 0)) / reader.device.stats.remoteAccesses),
      rounded(reader.throughput, 2),
    ];
  });
  data.all = { broken };
  return { figures: [closerFigure(closer), bothFigure(both)], published: [], data };
}

function closerFigure(rows: Figure['rows']): Figure {
  return {
    id: 'closer',
    title: `${PAGES} pages of node 0, read by a device at node 1`,
    columns: [
      { name: 'accesses', unit: 'a page' },
      { name: 'stays', unit: 'ms' },
      { name: 'moved', unit: 'ms' },
      { name: 'gain', unit: 'times' },
      { name: 'to node 1', unit: 'pages' },
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'accesses',
      series: [
        { column: 'stays', shade: 'before' },
        { column: 'moved', shade: 'after' },
      ],
    },
  };
}

function bothFigure(rows: Figure['rows']): Figure {
  return {
    id: 'both',
    title: 'A device with a link to each node: what it reads, by where the memory is',
    columns: [
      { name: 'memory', unit: '' },
      { name: 'first link', unit: '%' },
      { name: 'read', unit: 'GB/s' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** Fewest accesses a page from which moving pays; 0 = never. */
function paysFrom(f: FigureReader): number {
  return DENSITIES.find((density) => f.number('closer', [density], 'gain') > 1) ?? 0;
}

function bestPlace(f: FigureReader): Place {
  const read = (place: Place) => f.number('both', [place], 'read');
  return PLACES.reduce((best, place) => (read(place) > read(best) ? place : best));
}

function verdict(f: FigureReader): string {
  const from = paysFrom(f);
  const most = Math.max(...f.column('closer', 'gain'));
  const closer =
    from === 0
      ? 'Closer memory never pays for its migration here'
      : `Closer memory pays from ${from} accesses a page, up to ${decimal(most, 2)} times`;
  const best = bestPlace(f);
  const ratio = f.number('both', [best], 'read') / f.number('both', ['near'], 'read');
  return (
    `${closer}. With a link to each node, memory is best ${best}: ` +
    `${decimal(ratio, 2)} times what the better link alone reads.`
  );
}

function someUse(f: FigureReader): Finding {
  const from = paysFrom(f);
  if (from === 0) return { support: 'not supported', because: 'it never pays at these densities' };
  const because = `from ${from} accesses a page it pays, before that it costs`;
  return { support: from === DENSITIES[0] ? 'supported' : 'partly', because };
}

function differentStory(f: FigureReader): Finding {
  const best = bestPlace(f);
  const isBoth = best === 'interleaved' || best === 'weighted';
  return {
    support: isBoth ? 'supported' : 'not supported',
    because: `most is read from memory that is ${best}, not from the closer node alone`,
  };
}

export const nearDevice: Lab = {
  name: 'near-device',
  question: 'Where should host memory be that a device reads?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A8', 'F4'],
  rules: ['TI-82'],
  knobs: [
    numberKnob(
      'hop',
      60,
      0,
      10_000,
      'ns',
      'from one socket to the other (140 ns instead of 81 in a system that was measured)',
    ),
    numberKnob('across', 60, 1, 100, '%', 'of the link that remains across sockets; assumption'),
    numberKnob(
      'second',
      50,
      1,
      100,
      '%',
      'of the first link that the second has, where the device has two',
    ),
  ],
  setup: (knobs: KnobValues) => [
    `A program on node 0 fills ${PAGES} pages of node 0; a device at node 1 reads each some times.`,
    `stays: all over ${knobs.across} % of the link, ${knobs.hop} ns further.`,
    `moved: a range of ${RANGE_PAGES} pages goes to node 1 at its ${THRESHOLD}th access ` +
      '(move_pages), CPU time of it included.',
    `Then a device with a link to each node, the second with ${knobs.second} % of the first: ` +
      'memory bound to one node, interleaved, or interleaved by the weights of the links.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Andy Lutomirski',
      says: 'there is some use for migrating host memory to a node that is closer to a device',
      judge: someUse,
    },
    {
      who: 'Andy Lutomirski',
      says: 'an accelerator with two PCIe targets, each at a node of its own, is another story',
      judge: differentStory,
    },
  ],
  notModelled: [
    'CPUs that use the same memory and links meanwhile',
    'device memory behind two targets: which of them a CPU reaches it through',
  ],
};
