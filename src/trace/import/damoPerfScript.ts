/**
 * Importer of damo's perf_script records: `perf script` text of DAMON's tracepoints.
 *
 * A line is a region of a snapshot: `kdamond.0 4452 [000] 82877.315633: damon:damon_aggregated:
 * target_id=18446623435582458880 nr_regions=17 140731667070976-140731668037632: 0 3`, that is
 * start-end (decimal), nr_accesses and, in newer kernels, age. damos_before_apply has ctx_idx,
 * scheme_idx and target_idx before nr_regions. nr_regions lines with one target make a snapshot;
 * its time runs from the target's snapshot before to its own. Other events are skipped.
 * Source: include/trace/events/damon.h; damonSnapshot.ts says what becomes of a region.
 */
import { utf8Decode } from '../bytes.ts';
import { DamonFeed, type DamonRegion, damonHeader } from './damonSnapshot.ts';
import type { ImportFormat } from './importFormat.ts';
import { LineReader } from './lineReader.ts';

const EVENT = /\sdamon:(?:damon_aggregated|damos_before_apply):\s/;
const LINE = new RegExp(
  [
    /\s(\d+)\.(\d{1,9}):\s+damon:\w+:\s+/,
    /(?:\w+_idx=\d+\s+)*?(?:target_id|target_idx)=(\d+)\s+nr_regions=(\d+)\s+/,
    /(\d+)-(\d+):\s+(\d+)/,
  ]
    .map((part) => part.source)
    .join(''),
);
/** Length of the first snapshot of a target, whose start no line tells: DAMON's default, 100 ms. */
const FIRST_SNAPSHOT_NS = 1e8;
const REMEDY = 'expected what perf script prints of damon:damon_aggregated';

interface Target {
  endNs: number;
  regions: DamonRegion[];
}

export const damoPerfScript: ImportFormat = {
  name: 'damo-perf',
  /** DAMON's times are coarse: a slice is 10 ms at most. */
  spanMax: 1e7,

  sniff: (head) => EVENT.test(head),

  header: damonHeader,

  *run(source, feed) {
    const lines = new LineReader(source);
    const damon = new DamonFeed(feed);
    const targets = new Map<number, Target>();
    while (lines.next()) {
      if ((lines.number & 0xfff) === 0) yield lines.bytesRead;
      // A line is a region, which stands for many accesses: a string each is no cost.
      const text = utf8Decode(lines.bytes, lines.start, lines.end);
      if (text.trim() === '' || text.startsWith('#') || !EVENT.test(text)) continue;
      const found = LINE.exec(text);
      if (found === null) throw lines.error('no region of DAMON', REMEDY);
      const [seconds, , id, nrRegions, start, end, nrAccesses] = found.slice(1).map(Number);
      const endNs = seconds! * 1e9 + Number(found[2]!.padEnd(9, '0'));
      if (end! < start!) throw lines.error('a region that ends before it starts', REMEDY);
      const target = targets.get(id!) ?? { endNs: endNs - FIRST_SNAPSHOT_NS, regions: [] };
      targets.set(id!, target);
      target.regions.push({ start: start!, end: end!, nrAccesses: nrAccesses! });
      if (target.regions.length < nrRegions!) continue;
      if (endNs < target.endNs) throw lines.error('not in the order of time', 'sort it by time');
      damon.snapshot({ startNs: target.endNs, endNs, target: id!, regions: target.regions });
      target.endNs = endNs;
      target.regions = [];
    }
  },
};
