/**
 * Where the arrays of Graph500's reference lie (main.c, csr_reference.c, bfs_reference.c, aml.c),
 * in the order in which it allocates them. Each begins a page.
 *
 * Deviates: arrays of all ranks lie end to end, as if one rank had them all. The column array has
 * room for loops, which are no part of it (below 1/2000 of the edges from scale 16 on).
 */
import { PAGE_SIZE } from '../base/units.ts';

export const LINE_SHIFT = 6;
/** Bytes of an entry of the column array: BYTES_PER_VERTEX. */
export const COLUMN_BYTES = 6;
/** Vertices of a cache line: rowstarts, q1 and q2 are int, pred is int64_t. */
export const ROW_STARTS_SHIFT = 4;
export const QUEUE_SHIFT = 4;
export const PREDECESSOR_SHIFT = 3;

/** An edge as generated: packed_edge. */
const EDGE_BYTES = 12;
/**
 * Send buffers: 132 of 32 KiB for each of 128 ranks that have 2^28 vertices together
 * (AGGR_intra * (group_size + NSEND_intra)), which are 2.0625 bytes a vertex.
 */
const BUFFER_BYTES = 2.0625;

/** First cache line of each array, counted from the start of the program's memory. */
export interface GraphMemory {
  readonly rowStarts: number;
  readonly columns: number;
  readonly queues: readonly [number, number];
  readonly predecessors: number;
  readonly buffers: number;
  /** 0 = messages stay in the caches. */
  readonly bufferLines: number;
  readonly nrPages: number;
}

export interface GraphShape {
  readonly scale: number;
  readonly edgefactor: number;
  readonly hasEdgeList: boolean;
  readonly hasBuffers: boolean;
}

export function layOut({ scale, edgefactor, hasEdgeList, hasBuffers }: GraphShape): GraphMemory {
  const nrVertices = 1 << scale;
  const nrEdges = nrVertices * edgefactor;
  let nrPages = 0;
  const place = (bytes: number): number => {
    const line = nrPages * (PAGE_SIZE >>> LINE_SHIFT);
    nrPages += Math.ceil(bytes / PAGE_SIZE);
    return line;
  };
  place(hasEdgeList ? nrEdges * EDGE_BYTES : 0);
  const bufferBytes = hasBuffers ? Math.ceil(nrVertices * BUFFER_BYTES) : 0;
  const arrays = {
    buffers: place(bufferBytes),
    bufferLines: bufferBytes >>> LINE_SHIFT,
    rowStarts: place((nrVertices + 1) * 4),
    columns: place(2 * nrEdges * COLUMN_BYTES),
    queues: [place(nrVertices * 4), place(nrVertices * 4)] as const,
    predecessors: place(nrVertices * 8),
  };
  return { ...arrays, nrPages };
}
