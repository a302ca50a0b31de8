/**
 * `hetmem report RESULT.json`: the report of a result file drawn again, or its tables. Nothing is
 * run.
 */
import type { Command } from 'commander';
import { writeOutputFile } from './outputFile.ts';
import { parquetOf } from './parquetFolder.ts';
import { readText } from './textFile.ts';

const EXAMPLES = `
Examples:
  hetmem run sweep.yaml --out sweep.json
  hetmem report sweep.json -o sweep.html
  hetmem report sweep.json --parquet sweep`;

interface Flags {
  readonly output?: string;
  readonly parquet?: string;
  readonly force?: boolean;
}

export function describe(program: Command): void {
  program
    .command('report')
    .description('draw the report of a result file again, or make tables of it')
    .argument('<result>', 'a result of hetmem run --out')
    .option('-o, --output <file>', 'the HTML file (default: the result with .html)')
    .option(
      '--parquet <folder>',
      'write it as tables for DuckDB and the like; no report without -o',
    )
    .option('--force', 'replace what exists')
    .addHelpText('after', EXAMPLES)
    .action(report);
}

async function report(path: string, flags: Flags): Promise<void> {
  const { comparisonFileReader } = await import('../experiment/index.ts');
  const { parseComparison } = await comparisonFileReader();
  const comparison = parseComparison(readText(path, 'hetmem run --out FILE.json writes one'), path);
  const parquet = parquetOf(flags);
  if (parquet !== null) {
    const { comparisonTables } = await import('../experiment/index.ts');
    await parquet.commit(comparisonTables(comparison), comparison.hetmem);
    process.stdout.write(`${parquet.path}\n`);
    if (flags.output === undefined) return;
  }
  const { renderReport } = await import('../report/index.ts');
  const output = flags.output ?? `${path.replace(/\.json$/, '')}.html`;
  writeOutputFile(output, renderReport(comparison), { force: flags.force === true });
  process.stdout.write(`${output}\n`);
}
