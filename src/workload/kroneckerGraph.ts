/**
 * Graphs of Graph500 (generator/graph_generator.c): 2^scale vertices and `edgefactor` edges for
 * each, drawn by R-MAT: at every level of the adjacency matrix an edge falls into one quarter, with
 * 57, 19, 19 and 5 %. Then vertices are renamed, so that those with many edges do not lie together,
 * and rows are made (csr_reference.c): both directions of each edge, duplicates kept, no loops.
 *
 * Two levels are one draw of 16 bits, so a pair of quarters is exact to 1/65536.
 * Edges are drawn twice, once to count and once to place them: no list of them is held.
 * Deviates: the generator of random numbers and the renaming are ours; graphs have the same
 * distribution as the reference's, not the same edges.
 */
import { RandomStream } from '../base/prng.ts';
import { DrawStream } from './drawStream.ts';
import { Scatter } from './scatter.ts';

/** Compressed sparse rows: neighbours of vertex v are columns[rowStarts[v] .. rowStarts[v + 1]). */
export interface Graph {
  readonly nrVertices: number;
  readonly rowStarts: Uint32Array;
  readonly columns: Uint32Array;
}

/** Percent of the quarters, by (bit of the source, bit of the target). */
const QUARTERS = [57, 19, 19, 5];
const EDGES_PER_BLOCK = 1024;

/** Preconditions: 1 <= scale <= 24; 2 * edgefactor * 2^scale < 2^32. */
export function makeKroneckerGraph(scale: number, edgefactor: number, seed: number): Graph {
  const nrVertices = 1 << scale;
  const nrEdges = nrVertices * edgefactor;
  const rowStarts = new Uint32Array(nrVertices + 1);
  new EdgeStream(scale, seed).forEach(nrEdges, (a, b) => {
    rowStarts[a + 1]++;
    rowStarts[b + 1]++;
  });
  for (let v = 0; v < nrVertices; v++) rowStarts[v + 1] += rowStarts[v];
  const columns = new Uint32Array(rowStarts[nrVertices]);
  const next = rowStarts.slice(0, nrVertices);
  new EdgeStream(scale, seed).forEach(nrEdges, (a, b) => {
    columns[next[a]++] = b;
    columns[next[b]++] = a;
  });
  return { nrVertices, rowStarts, columns };
}

/** Edges in the order in which they are drawn. */
class EdgeStream {
  readonly #scale: number;
  readonly #draw: DrawStream;
  readonly #scramble: Scatter;
  /** 16 random bits -> two bits of the source, two of the target. */
  readonly #quarters: Uint8Array = quarterTable();
  /** Random words of an edge, each of which decides four levels. */
  readonly #wordsPerEdge: number;
  readonly #drawn: Uint32Array;
  /** Ends of the present edges, source and target in turn, as words `vertex * 2`. */
  readonly #ends: Uint32Array = new Uint32Array(EDGES_PER_BLOCK * 2);

  constructor(scale: number, seed: number) {
    this.#scale = scale;
    this.#draw = new DrawStream(seed, 'workload/graph500/edges');
    this.#scramble = new Scatter(1 << scale, new RandomStream(seed, 'workload/graph500/scramble'));
    this.#wordsPerEdge = Math.ceil(scale / 4);
    this.#drawn = new Uint32Array(EDGES_PER_BLOCK * this.#wordsPerEdge);
  }

  /** Every edge that is no loop, of the first `nrEdges`. */
  forEach(nrEdges: number, visit: (a: number, b: number) => void): void {
    const ends = this.#ends;
    for (let done = 0; done < nrEdges; done += EDGES_PER_BLOCK) {
      const n = Math.min(EDGES_PER_BLOCK, nrEdges - done);
      this.#fill(n);
      for (let i = 0; i < 2 * n; i += 2) {
        if (ends[i] !== ends[i + 1]) visit(ends[i] >>> 1, ends[i + 1] >>> 1);
      }
    }
  }

  #fill(n: number): void {
    const words = this.#wordsPerEdge;
    const drawn = this.#drawn;
    const quarters = this.#quarters;
    // Levels that a word decides and the graph does not have are drawn and dropped.
    const surplus = words * 4 - this.#scale;
    this.#draw.fill(drawn, n * words);
    for (let i = 0; i < n; i++) {
      let source = 0;
      let target = 0;
      for (let j = i * words; j < (i + 1) * words; j++) {
        const high = quarters[drawn[j] >>> 16];
        const low = quarters[drawn[j] & 0xffff];
        source = (source << 4) | (high & 12) | (low >>> 2);
        target = (target << 4) | ((high & 3) << 2) | (low & 3);
      }
      this.#ends[2 * i] = (source >>> surplus) << 1;
      this.#ends[2 * i + 1] = (target >>> surplus) << 1;
    }
    this.#scramble.rename(this.#ends, 2 * n);
  }
}

function quarterTable(): Uint8Array {
  const table = new Uint8Array(65536);
  let from = 0;
  let share = 0;
  for (const [first, p] of QUARTERS.entries()) {
    for (const [second, q] of QUARTERS.entries()) {
      share += p * q;
      const to = Math.round((share * 65536) / 10_000);
      const source = (first & 2) | (second >>> 1);
      const target = ((first & 1) << 1) | (second & 1);
      table.fill((source << 2) | target, from, to);
      from = to;
    }
  }
  return table;
}
