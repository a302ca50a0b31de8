/**
 * `hetmem why`: why a page did not or would not move, why a memory block cannot go offline: of a
 * saved state, or of a conformance case after a step.
 */
import type { Command } from 'commander';
import type { Kernel, Task } from '../mm/index.ts';
import type { BlockAccount, CmaAccount, PageAccount, RangeAccount } from '../why/index.ts';
import { decimalOrHex } from './optionValues.ts';

type Account = PageAccount | BlockAccount | RangeAccount | CmaAccount;

interface Flags {
  readonly state?: string;
  readonly case?: string;
  readonly step?: string;
  readonly kernel?: string;
  readonly machine?: string;
  readonly to?: string;
  readonly by?: string;
  readonly align?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Places:
  PID:0xADDR      the page of a process at an address
  pfn:N           a frame
  block:N         a memory block: why it does not go offline
  range:PFN+N     N frames from PFN on: what alloc_contig_range would come to
  cma:NAME+N      N pages of a CMA area (default: 1): what cma_alloc would come to
  (none)          what did not move so far, who holds pages, which blocks stay

A file before the places stands for --state FILE (.hms) or --case FILE#ID.

Examples:
  hetmem why --case pin_normal_node1
  hetmem why --case pin_normal_node1 100:0x700000000000 --to 0
  hetmem why state.hms pfn:0x8123 block:3
  hetmem why state.hms 100:0x7f0000000000 --by 101 --json
  hetmem why --case pin_normal_node1 cma:reserved+4096 --align 9

Answers are found without making the calls. Certain ones are what the calls return; where reclaim or
a split may still help, that is said.`;

export function describe(program: Command): void {
  program
    .command('why')
    .description('why a page does not move, or a memory block does not go offline')
    .argument('[places...]', 'PID:0xADDR, pfn:N, block:N, range:PFN+N, cma:NAME+N')
    .option('--state <file>', 'of a saved state (hetmem run … --save-state)')
    .option('--case <id>', 'of a conformance case: ID, or FILE#ID')
    .option('--step <n>', 'the case up to and with step n, counted from 0 (default: the last)')
    .option('--kernel <version>', 'the case on another kernel: 7.2, 6.12 or 6.1')
    .option('--machine <machine>', 'of a machine after boot: a shipped one or a file')
    .option('--to <node>', 'the node it shall move to (default: the nearest other one)')
    .option('--by <pid>', 'the process that calls (default: the owner)')
    .option('--align <order>', 'of cma_alloc: pages aligned to 2^order (default: 0)')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(why);
}

async function why(words: readonly string[], flags: Flags): Promise<void> {
  const { chosenKernel } = await import('./stateFiles.ts');
  const [choice, places] = withLeadingFile(words, flags);
  const k = await chosenKernel('hetmem why', choice);
  const { overview, overviewLines } = await import('../why/index.ts');
  if (places.length === 0) {
    const found = overview(k);
    print(flags, found, overviewLines(found));
    return;
  }
  const accounts: Account[] = [];
  const lines: string[] = [];
  for (const place of places) {
    const account = await accountOf(k, place, flags);
    accounts.push(account);
    lines.push(...(accounts.length === 1 ? [] : ['']), ...(await linesOf(account)));
  }
  print(flags, accounts, lines);
}

async function linesOf(account: Account): Promise<string[]> {
  const { blockLines, cmaLines, pageLines, rangeLines } = await import('../why/index.ts');
  if ('gives' in account) return cmaLines(account);
  if ('toMove' in account) return rangeLines(account);
  return 'state' in account ? blockLines(account) : pageLines(account);
}

function print(flags: Flags, value: unknown, lines: readonly string[]): void {
  const text = flags.json === true ? JSON.stringify(value, null, 2) : lines.join('\n');
  process.stdout.write(`${text}\n`);
}

/** `hetmem why FILE …` is `hetmem why --state FILE …` or `--case FILE#ID`. */
function withLeadingFile(words: readonly string[], flags: Flags): [Flags, readonly string[]] {
  const [first, ...rest] = words;
  const isChosen = [flags.state, flags.case, flags.machine].some((given) => given !== undefined);
  if (first === undefined || isChosen || isPlace(first)) return [flags, words];
  if (first.includes('#')) return [{ ...flags, case: first }, rest];
  return [{ ...flags, state: first }, rest];
}

const PAGE = /^(\d+|0x[0-9a-f]+):(0x[0-9a-f]+)$/i;
const FRAME = /^(pfn|block):(\d+|0x[0-9a-f]+)$/i;
const RANGE = /^range:(\d+|0x[0-9a-f]+)\+(\d+)$/i;
const AREA = /^cma:([^+]+?)(?:\+(\d+))?$/i;

function isPlace(word: string): boolean {
  return [PAGE, FRAME, RANGE, AREA].some((pattern) => pattern.test(word));
}

async function accountOf(k: Kernel, place: string, flags: Flags): Promise<Account> {
  const page = PAGE.exec(place);
  if (page !== null) return await addressAccount(k, place, page, flags);
  const frame = FRAME.exec(place);
  if (frame !== null) {
    const number = Number(frame[2]);
    const isBlock = frame[1].toLowerCase() === 'block';
    return isBlock
      ? await blockAccount(k, place, number)
      : await frameAccount(k, place, number, flags);
  }
  const range = RANGE.exec(place);
  if (range !== null) return await rangeAccount(k, place, Number(range[1]), Number(range[2]));
  const area = AREA.exec(place);
  if (area !== null) return await areaAccount(k, place, area, flags);
  const { UserError } = await import('../base/assert.ts');
  const known = 'PID:0xADDR, pfn:N, block:N, range:PFN+N or cma:NAME+N';
  throw new UserError(place, 'is no place', known);
}

async function addressAccount(
  k: Kernel,
  place: string,
  [, pid, address]: RegExpExecArray,
  flags: Flags,
): Promise<PageAccount> {
  const { PAGE_SIZE } = await import('../base/units.ts');
  const { whyAddress } = await import('../why/index.ts');
  const nid = await targetOf(k, flags);
  const caller = await callerOf(k, flags);
  const target = await taskOf(k, place, pid);
  const vpn = Math.floor(Number(address) / PAGE_SIZE);
  return whyAddress(k, target, caller ?? target, vpn, nid);
}

async function frameAccount(
  k: Kernel,
  place: string,
  pfn: number,
  flags: Flags,
): Promise<PageAccount> {
  const { whyFrame } = await import('../why/index.ts');
  const nid = await targetOf(k, flags);
  const caller = await callerOf(k, flags);
  await checkMemory(k, place, pfn, 1);
  return whyFrame(k, pfn, caller, nid);
}

async function checkMemory(k: Kernel, place: string, pfn: number, pages: number): Promise<void> {
  const { UserError } = await import('../base/assert.ts');
  for (let at = pfn; at < pfn + pages; at++) {
    const frame = k.frames.frameOfPfn(at);
    const isThere =
      frame >= 0 && (k.pm.isPresent(frame) || (pages === 1 && k.pm.isZoneDevice(frame)));
    if (isThere) continue;
    const where = pages === 1 ? 'this PFN' : `PFN ${at}`;
    throw new UserError(place, `no memory at ${where}`, '/proc/zoneinfo has the spans of zones');
  }
}

async function blockAccount(k: Kernel, place: string, block: number): Promise<BlockAccount> {
  const { UserError } = await import('../base/assert.ts');
  const { whyBlock } = await import('../why/index.ts');
  const { memoryBlocks } = k.pm;
  if (memoryBlocks.exists(block)) return whyBlock(k, block);
  const numbers = memoryBlocks.numbers();
  const known = `${numbers[0]} to ${numbers[numbers.length - 1]}`;
  throw new UserError(place, 'no such memory block', `blocks are ${known}, holes between`);
}

async function rangeAccount(
  k: Kernel,
  place: string,
  pfn: number,
  pages: number,
): Promise<RangeAccount> {
  const { UserError } = await import('../base/assert.ts');
  const { whyRange } = await import('../why/index.ts');
  if (pages === 0) throw new UserError(place, 'is no frame long', 'range:PFN+N with N > 0');
  await checkMemory(k, place, pfn, pages);
  return whyRange(k, pfn, pages);
}

async function areaAccount(
  k: Kernel,
  place: string,
  [, name, pages]: RegExpExecArray,
  flags: Flags,
): Promise<CmaAccount> {
  const { UserError } = await import('../base/assert.ts');
  const { whyCma } = await import('../why/index.ts');
  const area = k.cma.find((one) => one.name === name);
  if (area === undefined) {
    const known = k.cma.map((one) => one.name).join(', ');
    const remedy = known === '' ? 'the machine has none' : `areas: ${known}`;
    throw new UserError(place, 'no such CMA area', remedy);
  }
  const align = flags.align === undefined ? 0 : decimalOrHex('--align', flags.align);
  if (align > MAX_ALIGN) throw new UserError(`--align ${align}`, 'too large', `0 to ${MAX_ALIGN}`);
  const count = pages === undefined ? 1 : Number(pages);
  if (count === 0) throw new UserError(place, 'asks for no page', 'cma:NAME+N with N > 0');
  return whyCma(k, area, count, align);
}

/** Areas have at most that many pages, as a power of two. */
const MAX_ALIGN = 30;

async function targetOf(k: Kernel, flags: Flags): Promise<number> {
  return flags.to === undefined ? -1 : await nodeOf(k, flags.to);
}

async function callerOf(k: Kernel, flags: Flags): Promise<Task | null> {
  return flags.by === undefined ? null : await taskOf(k, '--by', flags.by);
}

async function taskOf(k: Kernel, place: string, pid: string): Promise<Task> {
  const { UserError } = await import('../base/assert.ts');
  const task = k.tasks.get(Number(pid));
  if (task !== undefined) return task;
  const known = [...k.tasks.keys()].join(', ');
  throw new UserError(place, `no process ${pid}`, `processes: ${known}`);
}

async function nodeOf(k: Kernel, text: string): Promise<number> {
  const { UserError } = await import('../base/assert.ts');
  const nid = decimalOrHex('--to', text);
  if (k.pm.nodes[nid]?.online === true) return nid;
  const known = k.pm.nodes.filter(({ online }) => online).map((node) => node.nid);
  throw new UserError(`--to ${text}`, 'no such node', `nodes: ${known.join(', ')}`);
}
