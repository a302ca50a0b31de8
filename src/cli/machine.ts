/**
 * `hetmem machine`: what machines there are, what one looks like, whether a machine file is right,
 * the JSON Schema of machine files, and how far the machine model is from formulas and published
 * measurements.
 */
import type { Command } from 'commander';
import { machineNames, readMachine } from './machineFiles.ts';

interface JsonOption {
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  hetmem machine show dram-cxl-asic
  hetmem machine check my-server.yaml
  hetmem machine validate`;

export function describe(program: Command): void {
  const machine = program
    .command('machine')
    .description('show, check and validate machines: the shipped ones and your files')
    .addHelpText('after', EXAMPLES);
  machine
    .command('list')
    .description('the shipped machines')
    .option('--json', 'print JSON')
    .action(list);
  machine
    .command('show')
    .description('nodes, zones, latencies, bandwidths, links, tiers and weights of a machine')
    .argument('<machine>', 'a shipped machine or a file')
    .option('--json', 'print JSON')
    .action(show);
  machine
    .command('check')
    .description('check machine files; the exit code is 2 if one is wrong')
    .argument('<files...>', 'machine files')
    .option('--json', 'print JSON')
    .action(check);
  machine
    .command('schema')
    .description('the JSON Schema of machine files, for editors')
    .action(schema);
  machine
    .command('validate')
    .description('compare the machine model with formulas and published measurements')
    .argument('[machine]', 'a shipped machine or a file (default: all shipped ones)')
    .option('--json', 'print JSON')
    .action(validate);
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

async function list({ json }: JsonOption): Promise<void> {
  const { summaryOf } = await import('./machineReport.ts');
  const { formatTable } = await import('./table.ts');
  const summaries = [];
  for (const name of machineNames()) summaries.push(summaryOf(await readMachine(name)));
  if (json === true) return printJson(summaries);
  const rows = summaries.map(({ name, nodes, description }) => [name, nodes, description]);
  process.stdout.write(
    formatTable(
      [{ title: 'machine' }, { title: 'nodes' }, { title: 'what it is', wraps: true }],
      rows,
    ),
  );
}

async function show(name: string, { json }: JsonOption): Promise<void> {
  const { machineDetails, machineText } = await import('./machineReport.ts');
  const spec = await readMachine(name);
  if (json === true) return printJson(machineDetails(spec));
  process.stdout.write(machineText(spec));
}

async function check(files: readonly string[], { json }: JsonOption): Promise<void> {
  const { describeFailure } = await import('./failure.ts');
  const { UserError } = await import('../base/assert.ts');
  const { summaryOf } = await import('./machineReport.ts');
  const results = [];
  for (const file of files) {
    try {
      const { name, nodes } = summaryOf(await readMachine(file));
      results.push({ file, ok: true, name, nodes });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      results.push({ file, ok: false, problems: error.message.split('\n') });
      const { text, exitCode } = describeFailure(error);
      process.exitCode = exitCode;
      if (json !== true) process.stderr.write(text);
      continue;
    }
    const { name, nodes } = results.at(-1)!;
    if (json !== true) process.stdout.write(`${file}: ok: ${name}, ${nodes}\n`);
  }
  if (json === true) printJson(results);
}

async function schema(): Promise<void> {
  const { machineFileReader } = await import('../hw/index.ts');
  const { machineJsonSchema } = await machineFileReader();
  printJson(machineJsonSchema());
}

async function validate(name: string | undefined, { json }: JsonOption): Promise<void> {
  const { validationOf, validationText } = await import('./machineReport.ts');
  const names = name === undefined ? machineNames() : [name];
  const specs = [];
  for (const machine of names) specs.push(await readMachine(machine));
  const groups = validationOf(specs, name === undefined);
  if (groups.some((group) => group.rows.some((row) => !row.isValid))) process.exitCode = 1;
  if (json === true) return printJson(groups);
  process.stdout.write(validationText(groups));
}
