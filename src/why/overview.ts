/**
 * What did not move so far on a whole machine: failures by cause with example pages, who holds
 * pages, and which memory blocks would not go offline. The start of every search.
 */
import type { FrameId } from '../base/units.ts';
import {
  blockOfflineObstacles,
  FAILURE_CAUSES,
  holdersOf,
  type Kernel,
  MEM_ONLINE,
  ownersOf,
} from '../mm/index.ts';
import { CAUSES, type CauseName } from './causes.ts';
import { folioKind } from './flagWords.ts';
import { ownerText } from './ownerText.ts';

export interface FailureGroup {
  readonly cause: string;
  /** Base pages. */
  readonly pages: number;
  readonly rules: string;
  readonly sentence: string;
  readonly remedy: string;
  /** PFNs of folios that failed last; not all of them need be there any more. */
  readonly examples: readonly number[];
}

export interface Overview {
  readonly machine: string;
  readonly nowNs: number;
  readonly processes: readonly { pid: number; comm: string; rssPages: number }[];
  readonly failures: readonly FailureGroup[];
  readonly holders: readonly { kind: string; name: string; pids: number[]; pages: number }[];
  /** Online memory blocks with something in the way, and what it is. */
  readonly blocks: readonly { block: number; nid: number; obstacles: string }[];
}

const EXAMPLES_MAX = 3;

/** The failure log by cause, most pages first. */
export function failureGroups(k: Kernel): FailureGroup[] {
  const log = k.failures;
  const groups = FAILURE_CAUSES.map((cause, n) => {
    const { rules, sentence, remedy } = failureWords(cause);
    return { cause, pages: log.pages[n], rules, sentence, remedy, examples: examplesOf(k, n) };
  });
  return groups.filter(({ pages }) => pages > 0).sort((a, b) => b.pages - a.pages);
}

/** A page that failed, in one line: where it is, what it is, whose it is. */
export function exampleText(k: Kernel, frame: FrameId): string {
  const head = k.frames.headOf(frame);
  const owners = ownersOf(k, head).map((owner) => ownerText(k, owner));
  const where = `pfn ${k.frames.pfnOf(head)} on node ${k.pm.nidOf(head)}`;
  const order = k.folios.isLarge(head) ? k.frames.orderOf(head) : 0;
  const what = `${folioKind(k, head)}, order ${order}`;
  const holders = holdersOf(k, head).map(({ holder }) => {
    const pids = [...holder.pids].join(', ');
    return `held by ${holder.kind} "${holder.name}" of process ${pids}`;
  });
  const known = [...owners.slice(0, 2), ...holders.slice(0, 1)];
  const whose = known.length === 0 ? 'mapped by nobody by now' : known.join(', ');
  return `${where} (${what}): ${whose}`;
}

/** Rules, sentence and remedy of a cause of the failure log. */
export function failureWords(cause: string): {
  readonly rules: string;
  readonly sentence: string;
  readonly remedy: string;
} {
  if (cause in CAUSES) return CAUSES[cause as CauseName];
  return LOG_ONLY[cause] ?? { rules: '', sentence: cause, remedy: '' };
}

/** Causes that only calls under way meet, never a question. */
const LOG_ONLY: Readonly<Record<string, { rules: string; sentence: string; remedy: string }>> = {
  writeback: {
    rules: 'MC-17',
    sentence: 'the folio was under writeback, and the mode does not wait',
    remedy: 'sync before, or move with a call that waits (move_pages, mbind)',
  },
  'still-mapped': {
    rules: 'MC-23',
    sentence: 'the folio was mapped still after all mappings were visited',
    remedy: 'try again',
  },
  'split-failed': {
    rules: 'MC-85, MC-49',
    sentence: 'no frame of the order was free and the large folio could not be split',
    remedy: 'free huge pages on the target node, or let go of the reference that stops the split',
  },
  'driver-refused': {
    rules: 'MC-72',
    sentence: 'the driver of the page refused to move it',
    remedy: 'ask again; look into the driver',
  },
  'destination-under-watermark': {
    rules: 'TI-23',
    sentence: 'promotion or hint faults do not push a node under its watermarks',
    remedy: 'let reclaim demote: demotion_enabled, kswapd of the target node',
  },
  'dirty-file': {
    rules: 'TI-23, MC-41',
    sentence: 'NUMA balancing leaves dirty file pages where they are',
    remedy: 'sync the file',
  },
  unmovable: {
    rules: 'PM-60, PM-62',
    sentence: 'memory that migration does not know: kernel, page tables, drivers',
    remedy: 'keep it out with ZONE_MOVABLE',
  },
  'pageblock-isolated': {
    rules: 'PM-62',
    sentence: 'somebody else had isolated the pageblock',
    remedy: 'try again when that is over',
  },
  'hugetlb-promised': {
    rules: 'PM-70',
    sentence: 'a free hugetlb page was promised to a mapping',
    remedy: 'raise nr_hugepages elsewhere',
  },
};

function examplesOf(k: Kernel, cause: number): number[] {
  const { frame, cause: causes, written } = k.failures;
  const ring = frame.length;
  const found = new Set<number>();
  for (let n = written - 1; n >= Math.max(0, written - ring); n--) {
    if (causes[n % ring] !== cause || frame[n % ring] < 0) continue;
    found.add(k.frames.pfnOf(frame[n % ring]));
    if (found.size === EXAMPLES_MAX) break;
  }
  return [...found];
}

export function overview(k: Kernel): Overview {
  const tasks = [...k.tasks.values()].filter((task) => task.mm !== null && task.pid === task.tgid);
  const holders = [...k.holders.values()].filter(({ pages }) => pages.length > 0);
  return {
    machine: k.spec.name,
    nowNs: k.nowNs,
    processes: tasks.map(({ pid, comm, mm }) => {
      return { pid, comm, rssPages: mm!.rssAnon + mm!.rssFile + mm!.rssShmem };
    }),
    failures: failureGroups(k),
    holders: holders.map(({ kind, name, pids, pages }) => {
      return { kind, name, pids: [...pids], pages: pages.length };
    }),
    blocks: blockedBlocks(k),
  };
}

function blockedBlocks(k: Kernel): Overview['blocks'] {
  const { memoryBlocks } = k.pm;
  const online = memoryBlocks.numbers().filter((block) => memoryBlocks.state[block] === MEM_ONLINE);
  return online.flatMap((block) => {
    const kinds = new Map<string, number>();
    for (const { kind } of blockOfflineObstacles(k, block)) {
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    const obstacles = [...kinds].map(([kind, count]) => `${kind} ×${count}`).join(', ');
    return obstacles === '' ? [] : [{ block, nid: memoryBlocks.nid[block], obstacles }];
  });
}

function pagesText(pages: number): string {
  return pages === 1 ? '1 page' : `${pages} pages`;
}

export function overviewLines(found: Overview): string[] {
  const lines = [`machine ${found.machine}, ${found.nowNs / 1e9} s after boot`, '', 'Processes'];
  for (const { pid, comm, rssPages } of found.processes) {
    lines.push(`  ${pid}${comm === '' ? '' : ` (${comm})`}: ${pagesText(rssPages)} resident`);
  }
  lines.push('', 'Did not move so far');
  if (found.failures.length === 0) lines.push('  nothing failed');
  for (const { cause, pages, rules, sentence, remedy, examples } of found.failures) {
    const where =
      examples.length === 0 ? '' : `, e.g. ${examples.map((p) => `pfn:${p}`).join(' ')}`;
    lines.push(`  ${cause}: ${pagesText(pages)}${where}`, `    (${rules}) ${sentence}`);
    if (remedy !== '') lines.push(`    remedy: ${remedy}`);
  }
  if (found.holders.length > 0) lines.push('', 'Holders of pages');
  for (const { kind, name, pids, pages } of found.holders) {
    lines.push(`  ${kind} "${name}" of process ${pids.join(', ')}: ${pagesText(pages)}`);
  }
  lines.push('', 'Memory blocks that would not go offline');
  if (found.blocks.length === 0) lines.push('  none');
  for (const { block, nid, obstacles } of found.blocks) {
    lines.push(`  block:${block} (node ${nid}): ${obstacles}`);
  }
  return lines;
}
