/**
 * `hetmem why`: why a page did not or would not move, why a memory block cannot go offline: of a
 * saved state, or of a conformance case after a step.
 */
import type { Command } from 'commander';
import type { Kernel, Task } from '../mm/index.ts';
import type { BlockAccount, PageAccount } from '../why/index.ts';

interface Flags {
  readonly state?: string;
  readonly case?: string;
  readonly step?: string;
  readonly kernel?: string;
  readonly machine?: string;
  readonly to?: string;
  readonly by?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Places:
  PID:0xADDR      the page of a process at an address
  pfn:N           a frame
  block:N         a memory block: why it does not go offline
  (none)          what did not move so far, who holds pages, which blocks stay

A file before the places stands for --state FILE (.hms) or --case FILE#ID.

Examples:
  hetmem why --case pin_basic_longterm
  hetmem why --case pin_basic_longterm 100:0x7ffffe000 --to 1
  hetmem why state.hms pfn:0x8123 block:3
  hetmem why state.hms 100:0x7f0000000000 --by 101 --json

Answers are found without making the calls. Certain ones are what the calls return; where reclaim or
a split may still help, that is said.`;

export function describe(program: Command): void {
  program
    .command('why')
    .description('why a page does not move, or a memory block does not go offline')
    .argument('[places...]', 'PID:0xADDR, pfn:N, block:N')
    .option('--state <file>', 'of a saved state (hetmem run … --save-state)')
    .option('--case <id>', 'of a conformance case: ID, or FILE#ID')
    .option('--step <n>', 'the case up to and with step n, counted from 0 (default: the last)')
    .option('--kernel <version>', 'the case on another kernel: 7.2, 6.12 or 6.1')
    .option('--machine <machine>', 'of a machine after boot: a shipped one or a file')
    .option('--to <node>', 'the node it shall move to (default: the nearest other one)')
    .option('--by <pid>', 'the process that calls (default: the owner)')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(why);
}

async function why(words: readonly string[], flags: Flags): Promise<void> {
  const { chosenKernel } = await import('./stateFiles.ts');
  const [choice, places] = withLeadingFile(words, flags);
  const k = await chosenKernel('hetmem why', choice);
  const { blockLines, overview, overviewLines, pageLines } = await import('../why/index.ts');
  if (places.length === 0) {
    const found = overview(k);
    print(flags, found, overviewLines(found));
    return;
  }
  const accounts: (PageAccount | BlockAccount)[] = [];
  for (const place of places) accounts.push(await accountOf(k, place, flags));
  const lines = accounts.flatMap((account, n) => [
    ...(n === 0 ? [] : ['']),
    ...('obstacles' in account ? blockLines(account) : pageLines(account)),
  ]);
  print(flags, accounts, lines);
}

function print(flags: Flags, value: unknown, lines: readonly string[]): void {
  const text = flags.json === true ? JSON.stringify(value, null, 2) : lines.join('\n');
  process.stdout.write(`${text}\n`);
}

/** `hetmem why FILE …` is `hetmem why --state FILE …` or `--case FILE#ID`. */
function withLeadingFile(words: readonly string[], flags: Flags): [Flags, readonly string[]] {
  const [first, ...rest] = words;
  if (first === undefined || isPlace(first)) return [flags, words];
  if (first.includes('#')) return [{ ...flags, case: flags.case ?? first }, rest];
  return [{ ...flags, state: flags.state ?? first }, rest];
}

const PLACE = /^(?:(\d+|0x[0-9a-f]+):(0x[0-9a-f]+)|(pfn|block):(\d+|0x[0-9a-f]+))$/i;

function isPlace(word: string): boolean {
  return PLACE.test(word);
}

async function accountOf(
  k: Kernel,
  place: string,
  flags: Flags,
): Promise<PageAccount | BlockAccount> {
  const { UserError } = await import('../base/assert.ts');
  const { PAGE_SIZE } = await import('../base/units.ts');
  const { whyAddress, whyBlock, whyFrame } = await import('../why/index.ts');
  const match = PLACE.exec(place);
  if (match === null) {
    throw new UserError(place, 'is no place', 'PID:0xADDR, pfn:N or block:N');
  }
  const nid = flags.to === undefined ? -1 : await nodeOf(k, flags.to);
  const caller = flags.by === undefined ? null : await taskOf(k, '--by', flags.by);
  const [, pid, address, kind, number] = match;
  if (pid !== undefined) {
    const target = await taskOf(k, place, pid);
    const vpn = Math.floor(Number(address) / PAGE_SIZE);
    return whyAddress(k, target, caller ?? target, vpn, nid);
  }
  if (kind.toLowerCase() === 'block') {
    const { memoryBlocks } = k.pm;
    if (memoryBlocks.exists(Number(number))) return whyBlock(k, Number(number));
    const numbers = memoryBlocks.numbers();
    const known = `${numbers[0]} to ${numbers[numbers.length - 1]}`;
    throw new UserError(place, 'no such memory block', `blocks are ${known}, holes between`);
  }
  const frame = k.frames.frameOfPfn(Number(number));
  if (frame < 0 || !k.pm.isPresent(frame)) {
    throw new UserError(place, 'no memory at this PFN', '/proc/zoneinfo has the spans of zones');
  }
  return whyFrame(k, Number(number), caller, nid);
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
  const { wholeNumber } = await import('./stateFiles.ts');
  const nid = wholeNumber('--to', text);
  if (k.pm.nodes[nid]?.online === true) return nid;
  const known = k.pm.nodes.filter(({ online }) => online).map((node) => node.nid);
  throw new UserError(`--to ${text}`, 'no such node', `nodes: ${known.join(', ')}`);
}
