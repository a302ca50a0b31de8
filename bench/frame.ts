/**
 * The physical side: what a frame costs, what booting 1 TiB costs, what 1 TiB costs when all of it
 * is touched, and pairs of page allocation and release through the buddy allocator, counters,
 * watermarks, generations and clean rows included.
 *
 * The pairs run on a half-full node whose free pages lie scattered, so that blocks split and merge
 * as they do in a machine that has run for a while: once within the caches, once over 4 GiB of
 * frames (random rows of a dozen columns: memory latency). Against a stack of free frame numbers,
 * which is what a simulator without zones and buddies would have.
 *
 * All of 1 TiB is touched if that much memory is free here; else 64 GiB are, and scaled.
 */
import { freemem } from 'node:os';
import { allocPages, freePages } from '../src/mm/pageAlloc.ts';
import { PhysicalMemory } from '../src/mm/physicalMemory.ts';
import { plainMachine } from '../src/mm/plainMachine.ts';
import { __GFP_COMP, __GFP_NORETRY, GFP_HIGHUSER_MOVABLE } from '../src/uapi/gfp.ts';
import { ZONE_NORMAL } from '../src/uapi/zone.ts';
import { type Figure, figure, significant } from './support/figure.ts';
import { fastestSeconds } from './support/sideBySide.ts';

const TIB_FRAMES = 2 ** 28;
const STRUCT_PAGE_BYTES = 64;
const GIB = 2 ** 30;
const ROUNDS = 7;
const PAIRS = 1_000_000;

function machine(frames: number): PhysicalMemory {
  const spec = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: frames }] }]);
  return new PhysicalMemory(spec, { trackContent: false });
}

function columnsOf(table: object): ArrayBufferView[] {
  return Object.values(table).filter((value) => ArrayBuffer.isView(value));
}

function bytesPerFrame(): Figure {
  const pm = machine(2 ** 22);
  const columns = [...columnsOf(pm.frames), ...columnsOf(pm.blocks)];
  const bytes = columns.reduce((sum, column) => sum + column.byteLength, 0);
  const other = { what: "Linux's struct page", value: STRUCT_PAGE_BYTES };
  return figure('frame/bytes-per-frame', significant(bytes / pm.frames.nrFrames), 'bytes', other);
}

async function boot(): Promise<Figure> {
  let present = 0;
  const bytes = new Uint8Array(TIB_FRAMES);
  const [seconds, fill] = await fastestSeconds(ROUNDS, [
    () => {
      present += machine(TIB_FRAMES).nodes[0].present;
      return undefined;
    },
    () => {
      bytes.fill(1);
      return undefined;
    },
  ]);
  if (present !== (ROUNDS + 1) * TIB_FRAMES) throw new Error('boot: memory is missing');
  const other = { what: 'writing one byte a frame', value: fill };
  return figure('frame/boot-1TiB', significant(seconds), 's', other);
}

/** xorshift32: the same places in every run. */
class Places {
  #state = 0x2545f491;

  below(powerOfTwo: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state & (powerOfTwo - 1);
  }
}

/** Allocates `held` * 2 single pages and frees a random half: the rest is what is held. */
function halfFull(pm: PhysicalMemory, held: number, places: Places): Int32Array {
  const frames = new Int32Array(held * 2);
  for (let i = 0; i < frames.length; i++)
    frames[i] = allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1);
  for (let i = 0; i < frames.length; i++) {
    const j = places.below(frames.length);
    const frame = frames[i];
    frames[i] = frames[j];
    frames[j] = frame;
  }
  for (let i = held; i < frames.length; i++) freePages(pm, frames[i], 0);
  return frames.slice(0, held);
}

async function pairs(name: string, held: number): Promise<Figure> {
  const pm = machine(held * 4);
  const places = new Places();
  const frames = halfFull(pm, held, places);
  const ofStack = frames.slice();
  const stack = Array.from({ length: held }, (_, i) => held * 2 + i);
  const [buddy, naive] = await fastestSeconds(ROUNDS, [
    () => {
      for (let i = 0; i < PAIRS; i++) {
        const at = places.below(held);
        const frame = allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1);
        freePages(pm, frames[at], 0);
        frames[at] = frame;
      }
      return undefined;
    },
    () => {
      for (let i = 0; i < PAIRS; i++) {
        const at = places.below(held);
        const frame = stack.pop()!;
        stack.push(ofStack[at]);
        ofStack[at] = frame;
      }
      return undefined;
    },
  ]);
  const other = { what: 'a stack of frame numbers', value: significant(PAIRS / naive) };
  return figure(name, significant(PAIRS / buddy), 'pairs/s', other);
}

/** Resident bytes that `frames` frames cost once each of their rows is written. */
function touchedBytes(frames: number): number {
  const before = process.memoryUsage().rss;
  const pm = machine(frames);
  const gfp = GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NORETRY;
  pm.hooks.inReclaim = true; // down to the last page
  let touched = 0;
  for (let head = allocPages(pm, 9, gfp, 0, -1); head >= 0; ) {
    touched += 512;
    head = allocPages(pm, 9, gfp, 0, -1);
  }
  if (touched !== frames) throw new Error(`touched ${touched} of ${frames} frames`);
  for (const column of columnsOf(pm.frames)) (column as Uint8Array).fill(1);
  return process.memoryUsage().rss - before;
}

function touched(): Figure {
  const isRoomy = freemem() > 16 * GIB;
  const frames = isRoomy ? TIB_FRAMES : TIB_FRAMES / 16;
  const bytes = touchedBytes(frames) * (TIB_FRAMES / frames);
  const name = isRoomy ? 'frame/touched-1TiB' : 'frame/touched-1TiB-scaled-from-64GiB';
  const other = { what: "Linux's struct page", value: (TIB_FRAMES * STRUCT_PAGE_BYTES) / GIB };
  return figure(name, significant(bytes / GIB), 'GiB', other);
}

function untouched(): Figure {
  const before = process.memoryUsage().rss;
  const pm = machine(TIB_FRAMES);
  const bytes = process.memoryUsage().rss - before;
  if (!pm.isPristine(TIB_FRAMES - 1)) throw new Error('untouched memory is not pristine');
  const other = { what: "Linux's struct page", value: (TIB_FRAMES * STRUCT_PAGE_BYTES) / 2 ** 20 };
  return figure('frame/untouched-1TiB', significant(bytes / 2 ** 20), 'MiB', other);
}

export async function* figures(): AsyncIterable<Figure> {
  yield untouched();
  yield bytesPerFrame();
  yield await boot();
  yield await pairs('frame/alloc-free-pairs', 2 ** 12);
  yield await pairs('frame/alloc-free-pairs-over-4GiB', 2 ** 19);
  yield touched();
}
