/**
 * XSBench (Tramm et al.): look-ups of macroscopic cross sections, the part of a Monte Carlo neutron
 * transport code that waits for memory. A look-up draws an energy and a material, finds the energy
 * in the unionised grid, reads the row of the index grid that belongs to it, and two points of the
 * grid of each nuclide of the material.
 *
 * Sizes are in the proportion of the large problem, 355 nuclides of 11303 points: 8 bytes for an
 * energy, 4 for an index, 48 for a point. Of the binary search the steps within the last page are
 * misses, four lines; those before hit the caches.
 * Deviates: which nuclides a material has is made up, apart from how many they are.
 */
import { RUN_KNOBS, runPart, SIZE_KNOB, sizePages } from './commonKnobs.ts';
import { DrawStream } from './drawStream.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';

const NUCLIDES = 355;
/** Bytes of a row: an energy, its indices, and per point of a nuclide's grid (one a row). */
const ENERGY_BYTES = 8;
const INDEX_BYTES = 4 * NUCLIDES;
const POINT_BYTES = 48;
const ROW_BYTES = ENERGY_BYTES + INDEX_BYTES + POINT_BYTES;
/** Indices of a cache line. */
const INDICES_PER_LINE = 16;
const SEARCH_LINES = 4;
const POINT_LINES = 2;

/** By material: how many of 1000 look-ups are in it, and how many nuclides it has. */
const MATERIALS: readonly { readonly permille: number; readonly nuclides: number }[] = [
  { permille: 140, nuclides: 321 },
  { permille: 52, nuclides: 5 },
  { permille: 275, nuclides: 4 },
  { permille: 134, nuclides: 4 },
  { permille: 154, nuclides: 27 },
  { permille: 64, nuclides: 21 },
  { permille: 66, nuclides: 21 },
  { permille: 55, nuclides: 21 },
  { permille: 8, nuclides: 21 },
  { permille: 15, nuclides: 21 },
  { permille: 24, nuclides: 9 },
  { permille: 13, nuclides: 9 },
];

export const xsbench: WorkloadDescription = {
  name: 'xsbench',
  summary: 'look-ups in large tables: random reads, some next to each other',
  source: 'XSBench (Tramm et al., PHYSOR 2014), large problem, unionised grid',
  memoryParallelism: null,
  knobs: [SIZE_KNOB, ...RUN_KNOBS],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const stream = (thread: number): PageStream => {
      return new LookUps(nrPages, new DrawStream(seed, `workload/xsbench/thread${thread}`));
    };
    return [{ ...runPart(values), name: 'xsbench', nrPages, stream }];
  },
};

/** The accesses of one look-up after the other. */
class LookUps implements PageStream {
  readonly weight = 1;
  readonly #energyPages: number;
  readonly #indexPages: number;
  readonly #pointPages: number;
  readonly #draw: DrawStream;
  readonly #drawn: Uint32Array = new Uint32Array(2);
  /** Pages of the present look-up, and how many of them are there and were given out. */
  readonly #pages: Uint32Array = new Uint32Array(
    SEARCH_LINES + Math.ceil(NUCLIDES / INDICES_PER_LINE) + POINT_LINES * NUCLIDES,
  );
  #count = 0;
  #next = 0;

  constructor(nrPages: number, draw: DrawStream) {
    this.#energyPages = Math.max(1, Math.round((nrPages * ENERGY_BYTES) / ROW_BYTES));
    this.#pointPages = Math.max(1, Math.round((nrPages * POINT_BYTES) / ROW_BYTES));
    this.#indexPages = nrPages - this.#energyPages - this.#pointPages;
    this.#draw = draw;
  }

  fill(words: Uint32Array, n: number): void {
    for (let i = 0; i < n; i++) {
      if (this.#next === this.#count) this.#lookUp();
      words[i] = this.#pages[this.#next++]! << 1;
    }
  }

  #lookUp(): void {
    this.#draw.fill(this.#drawn, 2);
    const energy = this.#drawn[0]! / 4294967296;
    const material = materialOf(Math.floor((this.#drawn[1]! * 1000) / 4294967296));
    const { nuclides } = MATERIALS[material]!;
    this.#next = 0;
    this.#count = 0;
    this.#add(Math.floor(energy * this.#energyPages), SEARCH_LINES);
    const row = this.#energyPages + Math.floor(energy * this.#indexPages);
    this.#add(row, Math.ceil(nuclides / INDICES_PER_LINE));
    const points = this.#energyPages + this.#indexPages;
    for (let i = 0; i < nuclides; i++) {
      const nuclide = (i + 31 * material) % NUCLIDES;
      const place = (nuclide + energy) / NUCLIDES;
      this.#add(points + Math.floor(place * this.#pointPages), POINT_LINES);
    }
  }

  #add(page: number, lines: number): void {
    this.#pages.fill(page, this.#count, this.#count + lines);
    this.#count += lines;
  }
}

function materialOf(permille: number): number {
  let left = permille;
  for (const [material, { permille: share }] of MATERIALS.entries()) {
    if (left < share) return material;
    left -= share;
  }
  return MATERIALS.length - 1;
}
