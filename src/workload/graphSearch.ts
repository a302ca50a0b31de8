/**
 * Breadth-first searches over a graph, one after the other from random roots, as Graph500's
 * reference makes them (bfs_reference.c, run_bfs and clean_pred): level by level, from one queue to
 * the other, a message to the owner of each neighbour, which sets its predecessor at the first.
 *
 * What misses the caches, a line each:
 * - in order: the queue that is read and the one that is written, predecessors as they are cleared,
 *   and the row of a vertex; another row's columns are far away, so each begins with a miss;
 * - at random: the row's start, and the predecessor of a vertex that is seen for the first time.
 *   Both happen once in a search, so no vertex is hot;
 * - in order: the lines of a message buffer as they are written, 13 bytes a neighbour. A rank's
 *   buffers (4 MiB) are gone through before a line is used again, and with the lines above they are
 *   more than its share of the caches (5 MiB on Zen 5). The receiver finds them in the caches.
 * What hits: the bits of visited vertices (256 KiB of a rank at scale 28), what is received.
 * Not modelled: what happens between searches (counting edges, validation), page walks.
 */
import { assert } from '../base/assert.ts';
import { type DrawStream, scaled } from './drawStream.ts';
import {
  COLUMN_BYTES,
  type GraphMemory,
  LINE_SHIFT,
  PREDECESSOR_SHIFT,
  QUEUE_SHIFT,
  ROW_STARTS_SHIFT,
} from './graphMemory.ts';
import type { Graph } from './kroneckerGraph.ts';
import { LineAccesses } from './lineAccesses.ts';

/** A visit with its header: struct hdri and struct visitmsg. */
const MESSAGE_BYTES = 13;
const LINE_BYTES = 1 << LINE_SHIFT;
const QUEUE_MASK = (1 << QUEUE_SHIFT) - 1;
/** Lines of predecessors that are cleared in a step. */
const CLEAR_LINES = 4096;

export class GraphSearch {
  readonly #graph: Graph;
  readonly #memory: GraphMemory;
  readonly #roots: DrawStream;
  readonly #drawn: Uint32Array = new Uint32Array(1);
  readonly #visited: Uint32Array;
  /** Vertices in the order in which they were seen; levels are stretches of it. */
  readonly #queue: Uint32Array;
  #levelStart = 0;
  #levelEnd = 0;
  #tail = 0;
  #at = 0;
  /** Which queue is read at this level. */
  #side = 0;
  #cleared = 0;
  /** The line of the buffers that is written, and bytes of messages that are in it. */
  #messageLine = 0;
  #messageBytes = 0;
  /** What the steps so far made. */
  readonly accesses: LineAccesses = new LineAccesses(4 * CLEAR_LINES);

  /** `roots` is drawn from for each search. Preconditions: the graph has an edge. */
  constructor(graph: Graph, memory: GraphMemory, roots: DrawStream) {
    assert(graph.columns.length > 0, 'a graph with edges');
    this.#graph = graph;
    this.#memory = memory;
    this.#roots = roots;
    this.#visited = new Uint32Array((graph.nrVertices + 31) >>> 5);
    this.#queue = new Uint32Array(graph.nrVertices);
  }

  /** Vertices that the present search has seen, in order; the first is its root. */
  get seen(): Uint32Array {
    return this.#queue.subarray(0, this.#tail);
  }

  /** Fills `words` with the next accesses, whatever the number of steps that takes. */
  fill(words: Uint32Array): void {
    while (this.accesses.count < words.length) this.step();
    this.accesses.take(words);
  }

  /**
   * One row, one step to the next level, or a part of what comes before a search. False when that
   * ends a search.
   */
  step(): boolean {
    if (this.#cleared < this.#graph.nrVertices >>> PREDECESSOR_SHIFT) this.#clear();
    else if (this.#at < this.#levelEnd) this.#expand(this.#queue[this.#at++]);
    else if (this.#tail > this.#levelEnd) this.#nextLevel();
    else {
      this.#cleared = 0;
      return false;
    }
    return true;
  }

  /** Predecessors in order; the last part starts the search. */
  #clear(): void {
    const { nrVertices } = this.#graph;
    const all = nrVertices >>> PREDECESSOR_SHIFT;
    const to = Math.min(all, this.#cleared + CLEAR_LINES);
    this.accesses.makeRoom(CLEAR_LINES + 2);
    for (let line = this.#cleared; line < to; line++)
      this.accesses.write(this.#memory.predecessors + line);
    this.#cleared = to;
    if (to < all) return;
    this.#visited.fill(0);
    const root = this.#drawRoot();
    this.#visited[root >>> 5] |= 1 << (root & 31);
    this.accesses.write(this.#memory.predecessors + (root >>> PREDECESSOR_SHIFT));
    this.accesses.write(this.#memory.queues[0]);
    this.#queue[0] = root;
    this.#levelStart = 0;
    this.#at = 0;
    this.#levelEnd = 1;
    this.#tail = 1;
    this.#side = 0;
  }

  /** A vertex that has neighbours. */
  #drawRoot(): number {
    const { nrVertices, rowStarts } = this.#graph;
    for (;;) {
      this.#roots.fill(this.#drawn, 1);
      const root = scaled(this.#drawn[0], nrVertices);
      if (rowStarts[root + 1] > rowStarts[root]) return root;
    }
  }

  #nextLevel(): void {
    this.#levelStart = this.#levelEnd;
    this.#levelEnd = this.#tail;
    this.#side = this.#side === 0 ? 1 : 0;
  }

  /** Reads where the row of a vertex is, and visits its neighbours. */
  #expand(vertex: number): void {
    const { rowStarts } = this.#graph;
    const memory = this.#memory;
    const from = rowStarts[vertex];
    const to = rowStarts[vertex + 1];
    // A neighbour makes at most four: columns, message, predecessor, queue.
    this.accesses.makeRoom(4 * (to - from) + 8);
    const place = this.#at - 1 - this.#levelStart;
    if ((place & QUEUE_MASK) === 0) {
      this.accesses.read(memory.queues[this.#side]! + (place >>> QUEUE_SHIFT));
    }
    const start = vertex >>> ROW_STARTS_SHIFT;
    const end = (vertex + 1) >>> ROW_STARTS_SHIFT;
    this.accesses.read(memory.rowStarts + start);
    if (end !== start) this.accesses.read(memory.rowStarts + end);
    if (to > from) this.#visitRow(from, to);
  }

  /** A line of columns, its neighbours, their messages; then the next. */
  #visitRow(from: number, to: number): void {
    const { columns } = this.#graph;
    const visited = this.#visited;
    const first = this.#memory.columns;
    const last = (to * COLUMN_BYTES - 1) >>> LINE_SHIFT;
    let j = from;
    for (let line = (from * COLUMN_BYTES) >>> LINE_SHIFT; line <= last; line++) {
      this.accesses.read(first + line);
      const before = j;
      // Those whose last byte is in the line.
      const end = Math.min(to, Math.floor(((line + 1) * LINE_BYTES) / COLUMN_BYTES));
      for (; j < end; j++) {
        const neighbour = columns[j];
        const bit = 1 << (neighbour & 31);
        const seen = visited[neighbour >>> 5];
        if ((seen & bit) !== 0) continue;
        visited[neighbour >>> 5] = seen | bit;
        this.#visit(neighbour);
      }
      this.#send(j - before);
    }
  }

  /** The first message to a vertex. */
  #visit(vertex: number): void {
    const place = this.#tail - this.#levelEnd;
    if ((place & QUEUE_MASK) === 0) {
      this.accesses.write(this.#memory.queues[1 - this.#side]! + (place >>> QUEUE_SHIFT));
    }
    this.#queue[this.#tail++] = vertex;
    this.accesses.write(this.#memory.predecessors + (vertex >>> PREDECESSOR_SHIFT));
  }

  /** Messages more in the buffers; the line after the last is the first again. */
  #send(n: number): void {
    const { buffers, bufferLines } = this.#memory;
    if (bufferLines === 0) return;
    this.#messageBytes += n * MESSAGE_BYTES;
    while (this.#messageBytes >= LINE_BYTES) {
      this.#messageBytes -= LINE_BYTES;
      this.accesses.write(buffers + this.#messageLine);
      this.#messageLine = this.#messageLine + 1 === bufferLines ? 0 : this.#messageLine + 1;
    }
  }
}
