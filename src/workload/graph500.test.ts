import { describe, expect, it } from 'vitest';
import { resolveKnobs } from '../policy/index.ts';
import { END, EVENT } from '../trace/index.ts';
import { MPOL_BIND, MPOL_DEFAULT } from '../uapi/mempolicy.ts';
import { DrawStream } from './drawStream.ts';
import { graph500 } from './graph500.ts';
import { layOut } from './graphMemory.ts';
import { GraphSearch } from './graphSearch.ts';
import { findWorkload, openWorkload } from './index.ts';
import { type Graph, makeKroneckerGraph } from './kroneckerGraph.ts';

const SHAPE = { scale: 14, edgefactor: 16, hasEdgeList: true, hasBuffers: true };

function searchOver(graph: Graph, shape = SHAPE): GraphSearch {
  return new GraphSearch(graph, layOut(shape), new DrawStream(1, 'roots'));
}

/** Vertex -> its level, by searching with lists. */
function levelsFrom({ rowStarts, columns }: Graph, root: number): Map<number, number> {
  const levels = new Map([[root, 0]]);
  const queue = [root];
  for (const vertex of queue) {
    for (const neighbour of columns.subarray(rowStarts[vertex], rowStarts[vertex + 1])) {
      if (levels.has(neighbour)) continue;
      levels.set(neighbour, levels.get(vertex)! + 1);
      queue.push(neighbour);
    }
  }
  return levels;
}

describe('Kronecker graph', () => {
  const graph = makeKroneckerGraph(14, 16, 1);
  const degrees = Array.from({ length: graph.nrVertices }, (_, v) => {
    return graph.rowStarts[v + 1] - graph.rowStarts[v];
  });

  it('has both directions of every edge, no loops', () => {
    const count = new Map<number, number>();
    let loops = 0;
    for (let v = 0; v < graph.nrVertices; v++) {
      for (const w of graph.columns.subarray(graph.rowStarts[v], graph.rowStarts[v + 1])) {
        if (w === v) loops++;
        const edge = Math.min(v, w) * graph.nrVertices + Math.max(v, w);
        count.set(edge, (count.get(edge) ?? 0) + (v < w ? 1 : -1));
      }
    }
    expect(loops).toBe(0);
    expect([...count.values()].every((balance) => balance === 0)).toBe(true);
    // Loops: on the diagonal at every level, (0.57 + 0.05)^14 = 0.00124 of the edges.
    const edges = graph.columns.length / 2;
    expect(1 - edges / (16 * graph.nrVertices)).toBeCloseTo(0.62 ** 14, 3);
  });

  it('has degrees as R-MAT: isolated vertices, and a few with very many edges', () => {
    // Degree of a vertex with k ones of 14 bits: Poisson of 2 * 16 * 2^14 * .76^(14-k) * .24^k.
    let isolated = 0;
    let binomial = 1;
    for (let k = 0; k <= 14; k++) {
      const mean = 2 * 16 * 2 ** 14 * 0.76 ** (14 - k) * 0.24 ** k;
      isolated += binomial * Math.exp(-mean);
      binomial = (binomial * (14 - k)) / (k + 1);
    }
    const share = degrees.filter((degree) => degree === 0).length / graph.nrVertices;
    expect(share).toBeCloseTo(isolated / graph.nrVertices, 2);
    const sorted = [...degrees].sort((a, b) => b - a);
    // Half of both ends of the vertex without ones, less its loops.
    const first = 2 * 16 * 2 ** 14 * 0.76 ** 14 - 2 * 16 * 2 ** 14 * 0.57 ** 14;
    expect(sorted[0] / first).toBeGreaterThan(0.9);
    expect(sorted[0] / first).toBeLessThan(1.1);
    const tenth = sorted.slice(0, graph.nrVertices / 10).reduce((sum, degree) => sum + degree, 0);
    expect(tenth / graph.columns.length).toBeGreaterThan(0.5);
  });

  it('spreads vertices with many edges over the memory', () => {
    const hot = [...degrees.keys()].sort((a, b) => degrees[b] - degrees[a]).slice(0, 64);
    const pages = new Set(hot.map((vertex) => vertex >>> 9));
    expect(pages.size).toBeGreaterThan(20);
  });

  it.each([8, 9, 10, 11])('has vertices of %i bits', (scale) => {
    const small = makeKroneckerGraph(scale, 4, 2);
    expect(small.columns.every((v) => v < 2 ** scale)).toBe(true);
    expect(small.rowStarts[2 ** scale]).toBe(small.columns.length);
  });
});

describe('GraphSearch', () => {
  const graph = makeKroneckerGraph(14, 16, 1);

  it('sees what can be reached, once, in the order of levels', () => {
    const search = searchOver(graph);
    const roots = new Set<number>();
    for (let i = 0; i < 5; i++) {
      while (search.step());
      const seen = [...search.seen];
      const levels = levelsFrom(graph, seen[0]);
      roots.add(seen[0]);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.length).toBe(levels.size);
      const order = seen.map((vertex) => levels.get(vertex)!);
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }
    expect(roots.size).toBeGreaterThan(3);
  });

  it('reads and writes what a search must, line by line', () => {
    const memory = layOut(SHAPE);
    const search = searchOver(graph);
    const words = oneSearch(search);
    const nrSeen = search.seen.length;
    const count = (line: number, nrLines: number, write: 0 | 1) => {
      const from = line >>> 6;
      const to = (line + nrLines + 63) >>> 6;
      return words.filter((word) => {
        return (word & 1) === write && word >>> 1 >= from && word >>> 1 < to;
      }).length;
    };
    const n = graph.nrVertices;
    // Cleared in order, eight a line; then one at random for each vertex.
    expect(count(memory.predecessors, n / 8, 1)).toBe(n / 8 + nrSeen);
    expect(count(memory.predecessors, n / 8, 0)).toBe(0);
    // One line, or two for the last vertex of a line.
    const starts = count(memory.rowStarts, n / 16 + 1, 0);
    expect(starts).toBe([...search.seen].reduce((sum, v) => sum + (v % 16 === 15 ? 2 : 1), 0));
    let lines = 0;
    let neighbours = 0;
    for (const v of search.seen) {
      const [from, to] = [graph.rowStarts[v], graph.rowStarts[v + 1]];
      lines += Math.floor((to * 6 - 1) / 64) - Math.floor((from * 6) / 64) + 1;
      neighbours += to - from;
    }
    expect(count(memory.columns, (graph.columns.length * 6) / 64, 0)).toBe(lines);
    const messages = (neighbours * 13) / 64;
    const sent = count(memory.buffers, memory.bufferLines, 1);
    expect(Math.abs(sent / messages - 1)).toBeLessThan(0.001);
    const queues = memory.queues.map((line) => count(line, n / 16, 0));
    const levels = Math.max(...levelsFrom(graph, search.seen[0]).values()) + 1;
    expect(queues[0] + queues[1]).toBeGreaterThanOrEqual(Math.ceil(nrSeen / 16));
    expect(queues[0] + queues[1]).toBeLessThanOrEqual(Math.ceil(nrSeen / 16) + levels);
    // Nothing else, and nothing of the list of edges.
    const written = memory.queues.map((line) => count(line, n / 16, 1));
    const all = n / 8 + nrSeen + starts + lines + sent;
    expect(words.length).toBe(all + queues[0] + queues[1] + written[0] + written[1]);
    expect(Math.min(...words) >>> 1).toBeGreaterThanOrEqual(memory.buffers >>> 6);
  });

  it('gives the same accesses in blocks of any size', () => {
    const whole = new Uint32Array(30_000);
    searchOver(graph).fill(whole);
    const parts = searchOver(graph);
    const block = new Uint32Array(1000);
    for (let from = 0; from < whole.length; from += block.length) {
      parts.fill(block);
      expect([...block]).toEqual([...whole.subarray(from, from + block.length)]);
    }
  });
});

/** The words of the first search. */
function oneSearch(search: GraphSearch): number[] {
  while (search.step());
  const words = new Uint32Array(search.accesses.count);
  search.accesses.take(words);
  return [...words];
}

describe('graph500', () => {
  const small = { scale: 12, accesses: 0.1, threads: 3 };

  function valuesOf(params: Record<string, unknown>) {
    const { values, problems } = resolveKnobs(graph500.knobs, params);
    expect(problems).toEqual([]);
    return values;
  }

  it('needs 406 bytes a vertex, half of it for the list of edges', () => {
    const pages = (params: Record<string, unknown>) => {
      return graph500.programs(valuesOf({ scale: 18, ...params }), 1)[0].nrPages;
    };
    const bytes = (pages({}) * 4096) / 2 ** 18;
    expect(bytes).toBeCloseTo(12 * 16 + 2 * 16 * 6 + 4 + 8 + 8 + 2.0625, 0);
    expect(pages({}) - pages({ edgeList: false })).toBe((12 * 16 * 2 ** 18) / 4096);
    expect(pages({}) - pages({ messages: false })).toBe((2.0625 * 2 ** 18) / 4096);
  });

  it('is one search for all threads: with one thread the same accesses in one order', () => {
    const words = (threads: number) => {
      const [plan] = graph500.programs(valuesOf({ ...small, threads }), 1);
      const streams = Array.from({ length: threads }, (_, thread) => plan.stream(thread));
      const block = new Uint32Array(4096);
      return Array.from({ length: 12 }, (_, turn) => {
        streams[turn % threads].fill(block, 4096);
        return block.join();
      });
    };
    expect(words(3)).toEqual(words(1));
  });

  it('gives a thread the same accesses whenever the others ask', () => {
    const [plan] = graph500.programs(valuesOf(small), 1);
    const words = (thread: number) => {
      const block = new Uint32Array(1000);
      const stream = plan.stream(thread);
      return Array.from({ length: 10 }, () => {
        stream.fill(block, 1000);
        return block.join();
      });
    };
    const last = words(2);
    words(0);
    expect(words(2)).toEqual(last);
    expect(words(1)).not.toEqual(last);
  });

  it('fills its memory on the node it is told, by a policy that does not last', () => {
    const events = (params: Record<string, unknown>) => {
      const source = openWorkload(findWorkload('graph500')!, valuesOf({ ...small, ...params }), 1);
      const found: unknown[] = [];
      for (let item = source.next(); item !== END; item = source.next()) {
        if (item === EVENT) {
          const { event } = source;
          if (event.kind === 'set_mempolicy') found.push([event.mode, event.nodemask]);
        } else if (found.length === 1) {
          expect(source.slice.page[0] & 1).toBe(1);
        }
      }
      return found;
    };
    expect(events({ fillNode: 1 })).toEqual([
      [MPOL_BIND, 2],
      [MPOL_DEFAULT, 0],
    ]);
    expect(events({})).toEqual([]);
  });

  it.each([
    ['scale', 7],
    ['scale', 23],
    ['scale', 12.5],
    ['edgefactor', 0],
    ['edgefactor', 65],
    ['fillNode', 32],
    ['edgeList', 'yes'],
    ['roots', 64],
  ])('refuses %s %s', (knob, value) => {
    expect(resolveKnobs(graph500.knobs, { [knob]: value }).problems).toMatchObject([
      { name: knob },
    ]);
  });
});
