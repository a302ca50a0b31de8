/**
 * `hetmem plan zones`: how large ZONE_MOVABLE may be on a machine whose programs pin memory, found
 * by trying machines on the model.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import { MIB } from '../base/units.ts';
import type { ZonesAsked, ZonesPlan } from '../labs/index.ts';
import { wholeNumber } from './optionValues.ts';
import { terminalWidth, wrapped } from './textWidth.ts';

const EXAMPLES = `
Examples:
  hetmem plan zones --memory 16GiB --pinned 4GiB --unmovable 1GiB
  hetmem plan zones --memory 8GiB --nodes 2 --cxl 8GiB --pinned 2GiB --unmovable 512MiB
  hetmem plan zones --memory 4GiB --pinned 1GiB --unmovable 256MiB --pages small --json

The exit code is 1 if no size works. Machines above 16 GiB are modelled smaller, in proportion.
Memory blocks are 128 MiB; from 64 GiB on 2 GiB, or the largest size that the nodes are made of.`;

/** Memory from which on blocks are large, and the sizes of both kinds. */
const LARGE_MEMORY_MIB = 64 * 1024;
const LARGE_BLOCK_MIB = 2048;
const BLOCK_MIB = 128;

interface Flags {
  readonly memory: string;
  readonly pinned: string;
  readonly unmovable: string;
  readonly user?: string;
  readonly growth?: string;
  readonly nodes: string;
  readonly cxl: string;
  readonly swap: string;
  readonly block?: string;
  readonly pages: string;
  readonly seed: string;
  readonly json?: boolean;
}

export function describeZones(plan: Command): void {
  plan
    .command('zones')
    .description('how large ZONE_MOVABLE may be when programs pin memory')
    .requiredOption('--memory <size>', 'of all nodes with CPUs')
    .requiredOption('--pinned <size>', 'pinned for long: RDMA, VFIO, io_uring fixed buffers')
    .requiredOption('--unmovable <size>', 'what the kernel takes for itself')
    .option('--user <size>', 'other memory of programs (default: 80 % of what is left)')
    .option('--growth <size>', 'what the kernel may take later (default: a tenth of --unmovable)')
    .option('--nodes <number>', 'nodes with CPUs, of equal size', '1')
    .option('--cxl <size>', 'a further node without CPUs, all ZONE_MOVABLE', '0')
    .option('--swap <size>', 'swap space', '0')
    .option('--block <size>', 'memory block: what is plugged at once (default: as x86-64 has it)')
    .option('--pages <size>', 'huge or small: what programs get for their memory', 'huge')
    .option('--seed <number>', 'of what happens by chance', '1')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(zones);
}

async function zones(flags: Flags): Promise<void> {
  const asked = await askedOf(flags);
  const { planZones } = await import('../labs/index.ts');
  const plan = planZones(asked);
  if (plan.movableMib === null) process.exitCode = 1;
  if (flags.json === true) process.stdout.write(`${JSON.stringify(await withGuidance(plan))}\n`);
  else process.stdout.write(await planText(plan));
}

async function askedOf(flags: Flags): Promise<ZonesAsked> {
  const { parseQuantity, SIZE } = await import('../hw/index.ts');
  const { scaleOf } = await import('../labs/index.ts');
  const size = (name: string, text: string, min: number): number => {
    const bytes = parseQuantity(SIZE, text);
    const place = `--${name} ${text}`;
    if (bytes === undefined) throw new UserError(place, 'is not a size', 'write 16GiB or 512MiB');
    const mib = Math.floor(bytes / MIB);
    if (mib < min) throw new UserError(place, `must be at least ${min} MiB`);
    return mib;
  };
  const memoryMib = size('memory', flags.memory, 64);
  const nodes = wholeNumber('--nodes', flags.nodes, 1, 8);
  const pinnedMib = size('pinned', flags.pinned, 0);
  const unmovableMib = size('unmovable', flags.unmovable, 0);
  const cxlMib = size('cxl', flags.cxl, 0);
  const growthMib =
    flags.growth === undefined ? Math.ceil(unmovableMib / 10) : size('growth', flags.growth, 0);
  const left = memoryMib + cxlMib - pinnedMib - unmovableMib - growthMib;
  const userMib =
    flags.user === undefined ? Math.max(0, Math.floor(0.8 * left)) : size('user', flags.user, 0);
  const asked: ZonesAsked = {
    memoryMib,
    nodes,
    cxlMib,
    pinnedMib,
    unmovableMib,
    growthMib,
    userMib,
    swapMib: size('swap', flags.swap, 0),
    blockMib:
      flags.block === undefined
        ? usualBlock(memoryMib, nodes, cxlMib)
        : size('block', flags.block, 4),
    hugePages: pagesOf(flags.pages),
    seed: wholeNumber('--seed', flags.seed, 0, 0xffffffff),
  };
  checkGrain(asked, scaleOf(asked), flags);
  return asked;
}

/** probe_memory_block_size of x86-64, in MiB. */
function usualBlock(memoryMib: number, nodes: number, cxlMib: number): number {
  if (memoryMib + cxlMib < LARGE_MEMORY_MIB) return BLOCK_MIB;
  const nodeMib = memoryMib / nodes;
  let block = LARGE_BLOCK_MIB;
  while (block > BLOCK_MIB && (nodeMib % block !== 0 || cxlMib % block !== 0)) block /= 2;
  return block;
}

/** Nodes are whole blocks; a block holds whole buddy blocks (4 MiB), in the smaller model, too. */
function checkGrain(asked: ZonesAsked, scale: number, flags: Flags): void {
  const { memoryMib, nodes, blockMib, cxlMib } = asked;
  if (blockMib % (4 * scale) !== 0) {
    const remedy = `a multiple of ${4 * scale} MiB for so much memory`;
    const block = flags.block ?? `${blockMib}MiB`;
    throw new UserError(`--block ${block}`, 'is too fine for the model', remedy);
  }
  if (memoryMib % (nodes * blockMib) !== 0 || memoryMib / nodes < 2 * blockMib) {
    const remedy = `each of ${nodes} must have two blocks of ${blockMib} MiB or more`;
    throw new UserError(`--memory ${flags.memory}`, 'does not divide into nodes of blocks', remedy);
  }
  if (cxlMib % blockMib !== 0) {
    const remedy = `a multiple of ${blockMib} MiB`;
    throw new UserError(`--cxl ${flags.cxl}`, 'is not made of whole memory blocks', remedy);
  }
}

function pagesOf(text: string): boolean {
  if (text === 'huge' || text === 'small') return text === 'huge';
  throw new UserError(`--pages ${text}`, 'is huge or small');
}

async function withGuidance(plan: ZonesPlan): Promise<object> {
  const { zonesGuidance } = await import('../labs/index.ts');
  return { ...plan, guidance: zonesGuidance(plan) };
}

async function planText(plan: ZonesPlan): Promise<string> {
  const { sizeText, zonesGuidance } = await import('../labs/index.ts');
  const { formatTable } = await import('./table.ts');
  const { paint } = await import('./paint.ts');
  const width = terminalWidth(100);
  const answer =
    plan.movableMib === null
      ? 'No size of ZONE_MOVABLE works.'
      : `ZONE_MOVABLE: at most ${sizeText(plan.movableMib)} (${plan.bootParameter})`;
  const rows = [...plan.trials, ...plan.risks].map((trial) => [
    sizeText(trial.movableMib),
    sizeText(trial.normalMib),
    trial.pins,
    `${sizeText(trial.pinnedMib)} of ${sizeText(trial.askedMib)}`,
    `${trial.removable} of ${trial.blocks}`,
    trial.problem === '' ? 'good' : trial.problem,
  ]);
  const titles = ['MOVABLE', 'NORMAL', 'pins', 'pinned', 'removable blocks', 'outcome'];
  const list = (lines: readonly string[]) => {
    return lines.map((line) => `  ${wrapped(line, width - 2, '  ')}\n`).join('');
  };
  const scale = plan.scale === 1 ? '' : `Modelled at 1:${plan.scale}.\n`;
  const warnings =
    plan.warnings.length === 0 ? '' : `\n${paint('yellow', 'Beware')}\n${list(plan.warnings)}`;
  const columns = titles.map((title) => ({ title }));
  const guidance = `\nGuidance\n${list(zonesGuidance(plan))}`;
  return `${paint('bold', answer)}\n\n${formatTable(columns, rows)}${scale}${warnings}${guidance}`;
}
