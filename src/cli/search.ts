/**
 * What `hetmem plan` and `hetmem tune` share: a search of many runs with a line of progress. Its
 * finished runs are kept in a journal, so the same command goes on where ^C stopped it; a folder of
 * tables is claimed before the first run, and appears when everything is in it.
 */
import type { Command } from 'commander';
import type { FlatTable } from '../experiment/index.ts';
import type { ExperimentProgress, Journal, Library } from '../runner/index.ts';
import { jobsOf, say } from './comparisonRun.ts';
import { onCleanUp } from './interrupt.ts';
import { parquetOf } from './parquetFolder.ts';
import { Progress } from './progress.ts';

export interface SearchFlags {
  readonly jobs?: string;
  readonly json?: boolean;
  readonly parquet?: string;
  readonly force?: boolean;
}

/** Adds the options that all searches have. */
export function withSearchOptions(command: Command): Command {
  return command
    .option('-j, --jobs <n>', 'runs at a time (default: one a core)')
    .option('--json', 'print the whole answer as JSON')
    .option('--parquet <folder>', 'write the answer as tables for DuckDB and the like')
    .option('--force', 'replace a folder that exists');
}

/** What a search is given to run experiments with. */
export interface SearchTools {
  readonly library: Library;
  readonly jobs: number;
  readonly journal: Journal;
  readonly onStage: (what: string) => void;
  readonly onProgress: (state: ExperimentProgress) => void;
}

export interface Search<Answer> {
  /** Of the line of progress: "planning". */
  readonly label: string;
  readonly journal: string;
  readonly library: Library;
  readonly find: (tools: SearchTools) => Promise<Answer>;
  readonly tablesOf: (answer: Answer) => readonly FlatTable[];
}

/** Does the search and writes its tables. */
export async function search<Answer>(
  { label, journal: path, library, find, tablesOf }: Search<Answer>,
  flags: SearchFlags,
): Promise<Answer> {
  const { Journal } = await import('../runner/index.ts');
  const jobs = jobsOf(flags.jobs);
  const parquet = parquetOf(flags);
  const journal = Journal.resume(path);
  const progress = new Progress(label);
  const forget = onCleanUp(() => {
    progress.clear();
    journal.close();
    say(`stopped; the same command goes on where it was (${path})`);
  });
  let stage = '';
  const onStage = (what: string) => {
    stage = what;
  };
  const onProgress = ({ accessesDone, accesses, runsDone, runs }: ExperimentProgress) => {
    progress.update(accessesDone, accesses, `${stage}: ${runsDone} of ${runs} runs`);
  };
  try {
    const answer = await find({ library, jobs, journal, onStage, onProgress });
    progress.clear();
    await parquet?.commit(tablesOf(answer), library.version);
    journal.remove();
    return answer;
  } finally {
    parquet?.discard();
    progress.clear();
    journal.close();
    forget();
  }
}
