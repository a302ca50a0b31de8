/**
 * `hetmem policies`: the policies and the synthetic workloads that experiments may name, and the
 * knobs of each.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import type { KnownGenerator, KnownPolicy } from '../experiment/index.ts';
import { paint } from './paint.ts';
import { formatTable } from './table.ts';

const EXAMPLES = `
Examples:
  hetmem policies
  hetmem policies hemem
  hetmem compare redis --policy hemem:samplePeriod=200`;

interface Flags {
  readonly json?: boolean;
}

type Entry = KnownPolicy | KnownGenerator;

export function describe(program: Command): void {
  program
    .command('policies')
    .description('policies and synthetic workloads, with their knobs')
    .argument('[name]', 'one of them, with its knobs')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(policies);
}

async function policies(name: string | undefined, flags: Flags): Promise<void> {
  const { registries } = await import('../runner/index.ts');
  const known = registries();
  const print = (text: string) => void process.stdout.write(text);
  if (name === undefined) {
    if (flags.json === true) print(`${JSON.stringify(known, null, 2)}\n`);
    else print(listText(known.policies, known.generators));
    return;
  }
  const entry = await entryOf(name, [...known.policies, ...known.generators]);
  print(flags.json === true ? `${JSON.stringify(entry, null, 2)}\n` : await entryText(entry));
}

async function entryOf(name: string, entries: readonly Entry[]): Promise<Entry> {
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry !== undefined) return entry;
  const names = entries.map((candidate) => candidate.name);
  const remedy = suggestion(name, names, 'hetmem policies lists them');
  throw new UserError(name, 'no policy and no synthetic workload', remedy);
}

function listText(known: readonly KnownPolicy[], generators: readonly KnownGenerator[]): string {
  const columns = [{ title: 'name' }, { title: 'what it does', wraps: true }];
  const rows = (entries: readonly Entry[]) => entries.map(({ name, purpose }) => [name, purpose]);
  return [
    paint('bold', 'Policies'),
    formatTable(columns, rows(known)),
    paint('bold', 'Synthetic workloads'),
    formatTable(columns, rows(generators)),
    'hetmem policies NAME lists the knobs of one.\n',
  ].join('\n');
}

async function entryText({ name, purpose, knobs }: Entry): Promise<string> {
  const { valuesText } = await import('../policy/index.ts');
  const head = `${paint('bold', name)}: ${purpose}\n`;
  if (knobs.length === 0) return `${head}It has no knobs.\n`;
  const columns = [
    { title: 'knob' },
    { title: 'default', align: 'right' as const },
    { title: 'values', wraps: true },
    { title: 'what it sets', wraps: true },
  ];
  // Knobs of heat sources, named as pebs.period, are told once, with the policy that is for them.
  const own = name === 'observe' ? knobs : knobs.filter((knob) => !knob.name.includes('.'));
  const rows = own.map((knob) => [knob.name, String(knob.default), valuesText(knob), knob.doc]);
  return `${head}\n${formatTable(columns, rows)}`;
}
