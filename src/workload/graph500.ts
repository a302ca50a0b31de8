/**
 * Graph500 (graph500.org, version 3 of the reference): breadth-first searches over a Kronecker
 * graph. The graph is made and searched in earnest; the accesses are those of the reference's
 * arrays that miss the caches (graphSearch.ts, graphMemory.ts). Memory of the program is 406 bytes
 * a vertex at 16 edges each, scale 18 about 102 MiB.
 *
 * Threads stand for ranks: they search together, one block of 4096 accesses each in turn, so that
 * all are at the same level. hetmem itself needs 8 bytes an edge and 12 a vertex for it.
 * Half of the memory is the list of edges, which the reference fills first and, built as it comes
 * (REUSE_CSR_FOR_VALIDATION), does not touch again.
 */

import { booleanOf, integer, number, numberOf, RUN_KNOBS, runPart } from './commonKnobs.ts';
import { DrawStream } from './drawStream.ts';
import { layOut } from './graphMemory.ts';
import { GraphSearch } from './graphSearch.ts';
import { type Graph, makeKroneckerGraph } from './kroneckerGraph.ts';
import type { PageStream, WorkloadDescription, WorkloadValues } from './workload.ts';

/** Accesses of a turn. */
const BLOCK = 4096;

/**
 * A neighbour takes the reference about 100 instructions, estimated from its text: send_visit,
 * aml_send and aml_send_intra some 70, process_intra and visithndl some 30. It makes 0.37 accesses.
 */
const INSN_KNOB = number(
  'insnPerAccess',
  270,
  0,
  100_000,
  'instructions',
  'between two accesses; the reference needs about 100 for a neighbour',
);

export const graph500: WorkloadDescription = {
  name: 'graph500',
  summary: 'breadth-first searches over a Kronecker graph: long rows, vertices at random',
  source: 'Graph500 reference 3.0, graph500_reference_bfs',
  memoryParallelism: null,
  knobs: [
    integer('scale', 18, 8, 22, '', 'SCALE: 2^scale vertices, 406 bytes each by 16 edges'),
    integer('edgefactor', 16, 1, 64, '', 'edges of a vertex'),
    {
      kind: 'boolean',
      name: 'edgeList',
      default: true,
      doc: 'memory of the generated edges, filled first and not touched again',
    },
    {
      kind: 'boolean',
      name: 'messages',
      default: true,
      doc: 'message buffers are more than the caches hold, as those of 128 ranks are',
    },
    integer('fillNode', -1, -1, 31, '', 'node that the memory is filled on; -1: by first touch'),
    ...RUN_KNOBS.map((knob) => (knob.name === 'insnPerAccess' ? INSN_KNOB : knob)),
  ],
  programs: (values, seed) => {
    const shape = {
      scale: numberOf(values, 'scale'),
      edgefactor: numberOf(values, 'edgefactor'),
      hasEdgeList: booleanOf(values, 'edgeList'),
      hasBuffers: booleanOf(values, 'messages'),
    };
    const memory = layOut(shape);
    let graph: Graph | null = null;
    const blocks = new SearchBlocks(() => {
      graph ??= makeKroneckerGraph(shape.scale, shape.edgefactor, seed);
      return new GraphSearch(graph, memory, new DrawStream(seed, 'workload/graph500/roots'));
    });
    const part = runPart(values);
    const stream = (thread: number): PageStream => new Turns(blocks, thread, part.nrThreads);
    return [{ ...part, ...fillPart(values), name: 'graph500', nrPages: memory.nrPages, stream }];
  },
};

/** Nothing for -1: first touch decides. */
function fillPart(values: WorkloadValues): { fillNid?: number } {
  const fillNid = numberOf(values, 'fillNode');
  return fillNid < 0 ? {} : { fillNid };
}

/** The blocks of one run of searches, by number; cheap when asked for in order. */
class SearchBlocks {
  readonly #start: () => GraphSearch;
  #search: GraphSearch | null = null;
  #next = 0;

  constructor(start: () => GraphSearch) {
    this.#start = start;
  }

  /** Fills `words` with block `index`; one that has passed is reached by searching anew. */
  read(index: number, words: Uint32Array): void {
    if (this.#search === null || index < this.#next) {
      this.#search = this.#start();
      this.#next = 0;
    }
    for (; this.#next <= index; this.#next++) this.#search.fill(words);
  }
}

/** A thread's turns: each of the threads has every nrThreads-th block. */
class Turns implements PageStream {
  readonly weight = 1;
  readonly #blocks: SearchBlocks;
  readonly #nrThreads: number;
  readonly #block: Uint32Array = new Uint32Array(BLOCK);
  #index: number;
  #at = BLOCK;

  constructor(blocks: SearchBlocks, thread: number, nrThreads: number) {
    this.#blocks = blocks;
    this.#nrThreads = nrThreads;
    this.#index = thread;
  }

  fill(words: Uint32Array, n: number): void {
    for (let done = 0; done < n; ) {
      if (this.#at === BLOCK) {
        this.#blocks.read(this.#index, this.#block);
        this.#index += this.#nrThreads;
        this.#at = 0;
      }
      const take = Math.min(n - done, BLOCK - this.#at);
      words.set(this.#block.subarray(this.#at, this.#at + take), done);
      this.#at += take;
      done += take;
    }
  }
}
