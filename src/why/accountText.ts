/** Accounts as lines for people. */
import { errnoName } from '../uapi/errno.ts';
import type { BlockAccount } from './blockAccount.ts';
import type { CmaAccount, RangeAccount } from './contigAccount.ts';
import type { ObstacleGroup } from './obstacleGroups.ts';
import type { FolioAccount, PageAccount } from './pageAccount.ts';
import type { Answer } from './wouldMove.ts';

const LABEL_COLUMNS = 9;
/** Holders that are listed one by one; --json has all. */
const HOLDERS_MAX = 8;

function row(label: string, text: string): string {
  return `  ${`${label} `.padEnd(LABEL_COLUMNS)}${text}`;
}

/** A page: what it is, why it stays, what the calls would answer. */
export function pageLines(account: PageAccount): string[] {
  const { frame, folio, vma, toNode } = account;
  const lines = [`${account.place}, to node ${toNode}`];
  if (vma !== null) lines.push(row('VMA', vma.replace(/ +/g, ' ')));
  if (frame !== null) {
    const where = `node ${frame.nid}, zone ${frame.zone}`;
    const pfn = `pfn ${frame.pfn} (0x${frame.pfn.toString(16)})`;
    const rest =
      frame.block < 0
        ? 'in no memory block'
        : `pageblock ${frame.migratetype}, memory block ${frame.block}`;
    lines.push(row('frame', `${pfn}, ${where}, ${rest}`));
  }
  if (folio !== null) lines.push(...folioLines(folio));
  for (const owner of account.owners) lines.push(row('owner', owner));
  lines.push(...holderLines(account));
  for (const note of account.notes) lines.push(row('note', note));
  if (account.lastFailure !== '') lines.push(row('log', `last failure: ${account.lastFailure}`));
  lines.push(...causeLines(account));
  if (account.would.length > 0) lines.push('', '  would answer');
  for (const answer of account.would) lines.push(`    ${answerText(answer)}`);
  const isSystem = frame !== null && frame.block >= 0;
  if (folio?.isUser === true && isSystem) {
    const passed = account.compaction === null ? 'may move it' : `stays (${account.compaction})`;
    lines.push(`    compact_memory: ${passed}`);
  }
  if (isSystem && folio !== null) {
    const offline = account.offline === '' ? 'this page is not in the way' : account.offline;
    lines.push(`    offline of memory block ${frame.block}: ${offline}`);
  }
  return lines;
}

function holderLines({ holders }: PageAccount): string[] {
  const lines = holders.slice(0, HOLDERS_MAX).map(({ kind, name, pids, references }) => {
    return row('holder', `${kind} "${name}" of process ${pids.join(', ')}: ${references}`);
  });
  const rest = holders.length - lines.length;
  return rest > 0 ? [...lines, row('', `… and ${rest} more holders`)] : lines;
}

function folioLines(folio: FolioAccount): string[] {
  const flags = folio.flags.length > 0 ? folio.flags.join('|') : 'none';
  const size = folio.pages === 1 ? 'order 0' : `order ${folio.order}, ${folio.pages} pages`;
  const { refcount, expectedRefs, extraRefs, mapcount } = folio;
  const batched = refcount - expectedRefs - extraRefs;
  const parts = [
    `${expectedRefs} expected (mapcount ${mapcount})`,
    ...(batched === 0 ? [] : [`${batched} of a per-cpu batch`]),
    ...(extraRefs === 0 ? [] : [`${extraRefs} extra${folio.maybePinned ? ' (pins)' : ''}`]),
  ];
  const references = folio.isUser ? `refcount ${refcount} = ${parts.join(' + ')}` : '';
  const lines = [row('folio', `${folio.kind}, ${size}, flags ${flags}`)];
  return references === '' ? lines : [...lines, row('', references)];
}

function causeLines({ causes }: PageAccount): string[] {
  if (causes.length === 0) return [row('why', 'nothing is in the way: it would move')];
  return causes.flatMap(({ name, rules, sentence, remedy }, n) => [
    row(n === 0 ? 'why' : '', `${name} (${rules}): ${sentence}`),
    ...(remedy === '' ? [] : [row('', `  remedy: ${remedy}`)]),
  ]);
}

/** "move_pages MPOL_MF_MOVE: returns 0, status -EACCES (shared)". */
export function answerText({ call, returns, status, cause, isCertain }: Answer): string {
  const parts = [`returns ${numberText(returns)}`];
  if (call.startsWith('move_pages')) {
    parts.push(status === null ? 'status unchanged' : `status ${statusText(status)}`);
  }
  const why = cause === null ? 'moves' : cause;
  return `${call}: ${parts.join(', ')} (${why}${isCertain ? '' : ', unless a second try helps'})`;
}

function numberText(value: number): string {
  return value < 0 ? `-${errnoName(-value)}` : String(value);
}

function statusText(status: number): string {
  return status < 0 ? numberText(status) : `node ${status}`;
}

/** A memory block: the verdict, then what is in the way. */
export function blockLines(account: BlockAccount): string[] {
  const end = account.startPfn + account.pages - 1;
  const lines = [
    `${account.place}, pfn ${account.startPfn} to ${end}, node ${account.nid}, ${account.state}`,
    row('offline', account.verdict),
  ];
  return [...lines, ...obstacleLines(account.obstacles)];
}

/** A range of frames: what alloc_contig_range would come to. */
export function rangeLines(account: RangeAccount): string[] {
  const end = account.startPfn + account.pages - 1;
  return [
    `${account.place}, pfn ${account.startPfn} to ${end}, node ${account.nid}`,
    row('contig', account.verdict),
    ...obstacleLines(account.obstacles),
  ];
}

/** A CMA area: what cma_alloc would come to. */
export function cmaLines(account: CmaAccount): string[] {
  const { startPfn, count, available, longestFree, nid } = account;
  return [
    `${account.place}, area of pfn ${startPfn} to ${startPfn + count - 1}, node ${nid}`,
    row('area', `${count} pages, ${available} free in its bitmap, ${longestFree} in one stretch`),
    row('alloc', account.verdict),
    ...obstacleLines(account.obstacles),
  ];
}

function obstacleLines(obstacles: readonly ObstacleGroup[]): string[] {
  const lines: string[] = [];
  for (const group of obstacles) {
    const pages = `${group.pages} page${group.pages === 1 ? '' : 's'}`;
    const where = group.examples.map((pfn) => `pfn ${pfn}`).join(', ');
    const more = group.places > group.examples.length ? ', …' : '';
    const places = group.places === 1 ? '' : ` in ${group.places} places`;
    lines.push('', row(group.kind, `${pages}${places}: ${where}${more}`));
    lines.push(row('', `(${group.rules}) ${group.sentence}`));
    for (const owner of group.owners) lines.push(row('owner', owner));
    for (const holder of group.holders) lines.push(row('holder', holder));
    lines.push(row('remedy', group.remedy));
  }
  return lines;
}
