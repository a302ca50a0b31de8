/**
 * Private device memory needs PFNs. Today they come from unused physical addresses, which a machine
 * may not have; the thread of 2025 asks whether they must. Devices of growing size on a machine
 * with a small physical map, with and without a space of their own. DM-80..DM-82.
 */
import { GIB, PAGE_SIZE, PAGES_PER_SECTION } from '../base/units.ts';
import { CoherentAccelerator, PrivateAccelerator } from '../drivers/index.ts';
import type { ExperimentalFeature } from '../hw/index.ts';
import { Kernel, loadWord, mmapRegion, plainMachine, storeWord } from '../mm/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import type { FigureReader } from './figureReader.ts';
import type { Cell, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LAB_ACCELERATOR, opened } from './labAccelerator.ts';
import { outcomeText } from './words.ts';

const SECTIONS_PER_GIB = GIB / PAGE_SIZE / PAGES_PER_SECTION;
/** Of the device, in GiB. */
const SIZES = [1, 2, 3, 4, 8] as const;
const MAP_BITS = 36;
const MAP_GIB = 64;
const PAGES = 64;
const OWN: readonly ExperimentalFeature[] = ['device_offset_space'];

const KINDS = [
  { name: 'private, physical map', experimental: [], isCoherent: false },
  { name: 'private, own offsets', experimental: OWN, isCoherent: false },
  { name: 'coherent', experimental: OWN, isCoherent: true },
] as const;

interface Tried {
  readonly outcome: string;
  /** Pages that went there and came back with their content. */
  readonly kept: number;
}

/** A machine whose map has `freeGib` behind its memory; a device of `sizeGib` on it. */
function attempt(kind: (typeof KINDS)[number], freeGib: number, sizeGib: number): Tried {
  const ramStart = (MAP_GIB - freeGib - 1) * SECTIONS_PER_GIB * PAGES_PER_SECTION;
  const zones = [{ zone: ZONE_NORMAL, pages: SECTIONS_PER_GIB * PAGES_PER_SECTION }];
  const plain = plainMachine([{ cpus: [0], zones }], { startPfn: ramStart });
  const lowest = { ...plain, physicalAddressBits: MAP_BITS, experimental: kind.experimental };
  const deviceSections = Math.max(...SIZES) * SECTIONS_PER_GIB;
  const k = new Kernel(lowest, { seed: 1, trackContent: true, deviceSections });
  // Below the memory everything is taken: firmware, other devices.
  k.devices.physPagesMin = ramStart;
  const nrPages = sizeGib * SECTIONS_PER_GIB * PAGES_PER_SECTION;
  const spec = { ...LAB_ACCELERATOR, nrPages };
  const ramEnd = ramStart + zones[0].pages;
  const device = kind.isCoherent
    ? new CoherentAccelerator(k, spec)
    : new PrivateAccelerator(k, spec);
  const ret = device.probe(kind.isCoherent ? ramEnd : -1);
  if (ret < 0) return { outcome: outcomeText(ret), kept: 0 };
  return { outcome: 'registered', kept: roundTrip(k, device) };
}

function roundTrip(k: Kernel, device: PrivateAccelerator | CoherentAccelerator): number {
  const task = k.spawn(null, 0);
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const start = mmapRegion(k, task.mm!, {
    addr: 0,
    pages: PAGES,
    prot,
    flags,
    file: null,
    pgoff: 0,
  });
  for (let n = 0; n < PAGES; n++) storeWord(k, task, start + n, n + 1);
  const context = opened(device, task);
  context.migrateToDevice(task, start, PAGES);
  const there = k.devices.livePages(device.pagemap);
  let kept = 0;
  for (let n = 0; n < PAGES; n++) if (loadWord(k, task, start + n) === n + 1) kept++;
  return Math.min(kept, there);
}

function measure({ knobs }: LabRun): Measurement {
  const freeGib = numberOf(knobs, 'free');
  const data: Record<string, Record<string, number>> = {};
  const rows: Cell[][] = [];
  for (const sizeGib of SIZES) {
    const tried = KINDS.map((kind) => attempt(kind, freeGib, sizeGib));
    rows.push([sizeGib, ...tried.map(({ outcome }) => outcome), tried[0].kept, tried[1].kept]);
    data[`${sizeGib} GiB`] = { kept_in_map: tried[0].kept, kept_by_offset: tried[1].kept };
  }
  const figure = {
    id: 'sizes',
    title: `memremap_pages with ${freeGib} GiB of the physical map unused`,
    columns: [
      { name: 'device', unit: 'GiB' },
      ...KINDS.map(({ name }) => ({ name, unit: '' })),
      { name: 'kept, map', unit: 'pages' },
      { name: 'kept, offsets', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' } as const,
  };
  return { figures: [figure], published: [], data };
}

/** The largest device that was registered, in GiB; 0 = none. */
function largest(figures: FigureReader, kind: string): number {
  const fit = SIZES.filter((size) => figures.text('sizes', [size], kind) === 'registered');
  return fit.length === 0 ? 0 : fit[fit.length - 1];
}

function ownSpaceHelps(figures: FigureReader): Finding {
  const inMap = largest(figures, KINDS[0].name);
  const own = largest(figures, KINDS[1].name);
  const kept = Math.min(...figures.column('sizes', 'kept, offsets'));
  return {
    support: own > inMap && kept === PAGES ? 'supported' : 'not supported',
    because:
      `devices up to ${inMap} GiB fit in the map, up to ${own} GiB beside it; ` +
      `of ${PAGES} pages ${kept} came back right from there`,
  };
}

function coherentNeedsTheMap(figures: FigureReader): Finding {
  const coherent = largest(figures, KINDS[2].name);
  const own = largest(figures, KINDS[1].name);
  return {
    support: coherent < own ? 'supported' : 'not supported',
    because:
      `coherent memory up to ${coherent} GiB is registered, ` +
      `although private memory up to ${own} GiB is`,
  };
}

export const noRoomInMap: Lab = {
  name: 'no-room-in-the-map',
  question: 'What if the physical map has no room for device memory that no CPU can reach?',
  thread: 'future-of-zone-device-2025',
  missions: ['D11', 'F4'],
  rules: ['DM-80', 'DM-81', 'DM-82'],
  experimental: ['device_offset_space'],
  knobs: [integerKnob('free', 2, 0, 8, 'GiB', 'unused at the end of the physical map')],
  setup: (knobs) => [
    `${MAP_BITS} bits of physical address; 1 GiB of memory.`,
    `${numberOf(knobs, 'free')} GiB are unused behind it; what is below it is taken.`,
    'A driver registers a device of growing size and moves 64 pages there and back.',
    'Own offsets are experimental (device_offset_space): Linux does not have them.',
  ],
  measure,
  verdict: (figures) => {
    const inMap = largest(figures, KINDS[0].name);
    const own = largest(figures, KINDS[1].name);
    return (
      `In the physical map a device of at most ${inMap} GiB finds room; with PFNs of their own ` +
      `private pages of all sizes up to ${own} GiB do, and come back the same.`
    );
  },
  positions: [
    {
      who: 'Popple (2025)',
      says: 'private pages need no physical addresses: whoever has one knows what it is',
      judge: ownSpaceHelps,
    },
    {
      who: 'Popple (2025)',
      says: 'coherent pages are real memory and stay in the map',
      judge: coherentNeedsTheMap,
    },
  ],
  notModelled: [
    'The size of vmemmap as a limit of its own (arm64); KASLR, which takes room from the map.',
  ],
};
