/**
 * `hetmem start`, the main job of `npm start`: the shipped experiment experiments/start.yaml, its
 * tables, what they mean in a sentence, and a report in reports/.
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { type ComparisonFlags, compareAndReport, ensureFolder } from './comparisonRun.ts';
import { openExperiment } from './run.ts';

const FOLDER = 'reports';

const EXAMPLES = `
Writes reports/start.html and reports/start.json in the current folder, replacing older ones.

Examples:
  hetmem start
  hetmem start --jobs 1`;

type Flags = Pick<ComparisonFlags, 'jobs' | 'json' | 'resume'>;

export function describe(program: Command): void {
  program
    .command('start')
    .description('compare policies on shipped traces of real programs; takes about a minute')
    .option('-j, --jobs <n>', 'runs at a time (default: one a core)')
    .option('--json', 'print the whole result as JSON instead of tables')
    .option('--resume', 'go on where an interrupted start was')
    .addHelpText('after', EXAMPLES)
    .action(start);
}

async function start(flags: Flags): Promise<void> {
  ensureFolder(FOLDER);
  const { library, parsed } = await openExperiment('start');
  await compareAndReport(parsed, library, 'hetmem start', {
    ...flags,
    out: join(FOLDER, 'start.json'),
    html: join(FOLDER, 'start.html'),
    force: true,
  });
}
