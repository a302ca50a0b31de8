/**
 * `hetmem report RESULT.json`: the report of a result file, drawn again. Nothing is run.
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import { writeOutputFile } from './outputFile.ts';

const EXAMPLES = `
Examples:
  hetmem run sweep.yaml --out sweep.json
  hetmem report sweep.json -o sweep.html`;

interface Flags {
  readonly output?: string;
  readonly force?: boolean;
}

export function describe(program: Command): void {
  program
    .command('report')
    .description('draw the report of a result file again')
    .argument('<result>', 'a result of hetmem run --out')
    .option('-o, --output <file>', 'the HTML file (default: the result with .html)')
    .option('--force', 'replace the file if it exists')
    .addHelpText('after', EXAMPLES)
    .action(report);
}

async function report(path: string, flags: Flags): Promise<void> {
  const { comparisonFileReader } = await import('../experiment/index.ts');
  const { parseComparison } = await comparisonFileReader();
  const comparison = parseComparison(readText(path), path);
  const { renderReport } = await import('../report/index.ts');
  const output = flags.output ?? `${path.replace(/\.json$/, '')}.html`;
  writeOutputFile(output, renderReport(comparison), { force: flags.force === true });
  process.stdout.write(`${output}\n`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(path, `cannot be read: ${reason}`, 'hetmem run --out FILE.json writes one');
  }
}
