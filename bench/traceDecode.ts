/**
 * Decoding of trace files, decompression and checksums included, as replay reads them: page words
 * and weights, without lines. The shipped traces of real programs, and generated streams: zipf over
 * 2^20 pages, one sequential scan, and a random mix (three scans, a zipf heap, a stack).
 *
 * Against the same runs as plain arrays in memory: what a trace that costs nothing would give.
 * `trace/size-*` is the file's size by access. The consumer sums word × weight, so nothing can be
 * optimized away.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RandomStream } from '../src/base/prng.ts';
import { packageRoot } from '../src/cli/packageRoot.ts';
import { codecNamed, deflateCodec, nodeCodecs } from '../src/live/index.ts';
import {
  type Codec,
  END,
  MemorySink,
  MemorySource,
  SLICE,
  SLICE_ACCESSES_MAX,
  syntheticHeader,
  TraceReader,
  TraceWriter,
} from '../src/trace/index.ts';
import { type Figure, figure, significant } from './support/figure.ts';
import { fastestSeconds } from './support/sideBySide.ts';

const ACCESSES = 1 << 24;
const ROUNDS = 5;
const HEAP_PAGES = 1 << 20;
const SLICE_ACCESSES = 4096;
const BASE_VPN = 0x7f0000000;

/** Fills a slice's accesses, continuing where it stopped. */
type Stream = (vpn: Float64Array, lineWrite: Uint8Array) => void;

/** Scrambled zipf 0.99 by inversion of a table of cumulative weights. */
function zipfPages(nrPages: number, random: RandomStream): () => number {
  const cumulative = new Float64Array(nrPages);
  let sum = 0;
  for (let rank = 0; rank < nrPages; rank++) {
    sum += 1 / (rank + 1) ** 0.99;
    cumulative[rank] = sum;
  }
  return () => {
    const at = random.unit() * sum;
    let low = 0;
    let high = nrPages - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cumulative[middle] < at) low = middle + 1;
      else high = middle;
    }
    return (low * 0x9e3779b1) % nrPages;
  };
}

function zipf(): Stream {
  const random = new RandomStream(1, 'bench zipf');
  const page = zipfPages(HEAP_PAGES, random);
  return (vpn, lineWrite) => {
    for (let i = 0; i < vpn.length; i++) {
      vpn[i] = BASE_VPN + page();
      lineWrite[i] = random.below(128);
    }
  };
}

function sequential(): Stream {
  let at = 0;
  return (vpn, lineWrite) => {
    for (let i = 0; i < vpn.length; i++, at++) {
      vpn[i] = BASE_VPN + Math.floor(at / 64);
      lineWrite[i] = (at % 64) << 1;
    }
  };
}

/** Of 16 accesses: 9 to three scans in turn (one written), 6 to a zipf heap, 1 to a stack. */
function mix(): Stream {
  const random = new RandomStream(2, 'bench mix');
  const page = zipfPages(HEAP_PAGES >> 2, random);
  let at = 0;
  return (vpn, lineWrite) => {
    for (let i = 0; i < vpn.length; i++) {
      const kind = random.below(16);
      if (kind < 9) {
        const scan = at % 3;
        const line = Math.floor(at++ / 3);
        vpn[i] = BASE_VPN + (scan + 1) * 0x1000000 + Math.floor(line / 64);
        lineWrite[i] = ((line % 64) << 1) | (scan === 2 ? 1 : 0);
      } else {
        vpn[i] = kind < 15 ? BASE_VPN + page() : BASE_VPN - 1 - random.below(4);
        lineWrite[i] = random.below(128);
      }
    }
  };
}

function makeTrace(stream: Stream, codec: Codec): Uint8Array {
  const sink = new MemorySink();
  const writer = new TraceWriter(sink, syntheticHeader('bench'), codec);
  writer.addProcess('bench');
  writer.addThread(0, 'bench');
  const vpn = new Float64Array(SLICE_ACCESSES);
  const lineWrite = new Uint8Array(SLICE_ACCESSES);
  for (let done = 0; done < ACCESSES; done += SLICE_ACCESSES) {
    stream(vpn, lineWrite);
    const clock = done * 10;
    writer.slice(0, 0, clock, clock + SLICE_ACCESSES * 10, SLICE_ACCESSES, vpn, lineWrite);
  }
  writer.finish();
  return sink.bytes();
}

function sumRuns(page: Uint32Array, weight: Uint16Array, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum = (sum + Math.imul(page[i], weight[i])) | 0;
  return sum;
}

function sumOfTrace(bytes: Uint8Array, codecs: readonly Codec[]): number {
  const reader = new TraceReader(new MemorySource(bytes), codecs);
  let sum = 0;
  for (let kind = reader.next(); kind !== END; kind = reader.next()) {
    if (kind !== SLICE) continue;
    const { page, weight, count } = reader.slice;
    sum = (sum + sumRuns(page, weight, 0, count)) | 0;
  }
  return sum;
}

/** All runs of the trace, as plain arrays. */
function plainRuns(bytes: Uint8Array, codecs: readonly Codec[]) {
  const reader = new TraceReader(new MemorySource(bytes), codecs);
  const page = new Uint32Array(reader.totals?.runs ?? 0);
  const weight = new Uint16Array(page.length);
  let at = 0;
  for (let kind = reader.next(); kind !== END; kind = reader.next()) {
    if (kind !== SLICE) continue;
    page.set(reader.slice.page.subarray(0, reader.slice.count), at);
    weight.set(reader.slice.weight.subarray(0, reader.slice.count), at);
    at += reader.slice.count;
  }
  return { page, weight, accesses: reader.nrAccesses };
}

async function* figuresOf(
  label: string,
  bytes: Uint8Array,
  codecs: readonly Codec[],
): AsyncIterable<Figure> {
  const plain = plainRuns(bytes, codecs);
  const results = new Set<number>();
  const [decode, inMemory] = await fastestSeconds(ROUNDS, [
    () => void results.add(sumOfTrace(bytes, codecs)),
    () => {
      let sum = 0;
      for (let start = 0; start < plain.page.length; start += SLICE_ACCESSES_MAX) {
        const end = Math.min(plain.page.length, start + SLICE_ACCESSES_MAX);
        sum = (sum + sumRuns(plain.page, plain.weight, start, end)) | 0;
      }
      results.add(sum);
    },
  ]);
  if (results.size !== 1) throw new Error(`${label}: decoded runs differ from the plain ones`);
  const other = { what: 'plain arrays in memory', value: plain.accesses / inMemory };
  const rate = significant(plain.accesses / decode);
  yield figure(`trace/decode-${label}`, rate, 'accesses/s', other);
  const size = significant(bytes.length / plain.accesses);
  const unpacked = { what: '8 bytes an access, unpacked', value: 8 };
  yield figure(`trace/size-${label}`, size, 'bytes/access', unpacked);
}

export async function* figures(): AsyncIterable<Figure> {
  const streams = { sequential, zipf, mix };
  for (const codec of [deflateCodec(), await codecNamed('zstd', 3)]) {
    for (const [name, make] of Object.entries(streams)) {
      yield* figuresOf(`${name}-${codec.name}`, makeTrace(make(), codec), [codec]);
    }
  }
  const folder = join(packageRoot(), 'traces');
  for (const file of readdirSync(folder).sort()) {
    if (!/^\w.*\.hmt$/.test(file)) continue;
    const bytes = readFileSync(join(folder, file));
    yield* figuresOf(file.slice(0, -'.hmt'.length), new Uint8Array(bytes), await nodeCodecs());
  }
}
