/**
 * Who may import what (STYLE.md, map-of-imports). Unlisted is an error. The map is data: a change
 * of it is a decision, with an entry in docs/decisions/.
 */

export interface ImportRow {
  /** Folders of src/, through their index.ts. */
  readonly folders: readonly string[] | 'any but web';
  /** Packages of npm. */
  readonly packages: readonly string[];
  /** Whether Node's own modules may be imported. */
  readonly node: boolean;
}

const PURE_FOLDERS = [
  'base',
  'uapi',
  'engine',
  'hw',
  'mm',
  'syscalls',
  'why',
  'proc',
  'state',
  'conform',
  'drivers',
  'events',
  'heat',
  'policy',
  'trace',
  'workload',
  'sim',
  'experiment',
  'published',
  'labs',
  'report',
] as const;

/** Compiled without Node and DOM; no clock, no randomness of the host. */
export const PURE: ReadonlySet<string> = new Set(PURE_FOLDERS);

/** Imported file by file: many small files without a common subject, so an index says nothing. */
export const OPEN_FOLDERS: ReadonlySet<string> = new Set(['base', 'uapi']);

function pure(folders: readonly string[], packages: readonly string[] = []): ImportRow {
  return { folders, packages, node: false };
}

/** What may drive the model: everything but what works on results. */
const BELOW_EXPERIMENTS = PURE_FOLDERS.filter((folder) => {
  return !['experiment', 'published', 'labs', 'report'].includes(folder);
});

export const IMPORT_TABLE: Readonly<Record<string, ImportRow>> = {
  base: pure([], ['pure-rand']),
  uapi: pure(['base']),
  engine: pure(['base']),
  // Machine files are YAML, checked by a schema that editors can use.
  hw: pure(['base', 'uapi', 'engine'], ['yaml', 'zod']),
  mm: pure(['base', 'uapi', 'engine', 'hw']),
  syscalls: pure(['base', 'uapi', 'mm']),
  proc: pure(['base', 'uapi', 'hw', 'mm']),
  // Explains what the calls would do, without making them.
  why: pure(['base', 'uapi', 'mm', 'syscalls', 'proc']),
  // Acts out what real kernels were seen to do; machines come from hw, test devices from drivers.
  conform: pure(['base', 'uapi', 'hw', 'mm', 'syscalls', 'proc', 'why', 'drivers']),
  // Device time and links are priced in hw.
  drivers: pure(['base', 'uapi', 'hw', 'mm']),
  // Needs the byte writer of trace.
  events: pure(['base', 'uapi', 'mm', 'trace']),
  heat: pure(['base', 'uapi']),
  // Never mm, hw, sim or live: a policy that could look would not run on a real kernel.
  policy: pure(['base', 'uapi', 'heat']),
  trace: pure(['base', 'uapi', 'engine'], ['@bokuweb/zstd-wasm']),
  // Everything the modelled kernel is made of, to a file and back.
  state: pure(['base', 'uapi', 'hw', 'mm', 'drivers', 'trace']),
  workload: pure(['base', 'uapi', 'engine', 'trace']),
  sim: pure(BELOW_EXPERIMENTS),
  experiment: pure(['base', 'hw', 'policy', 'workload', 'sim'], ['yaml', 'zod']),
  // Tables of papers and mails, what is run for them, and what ours say beside them.
  published: pure(['base', 'hw', 'policy', 'sim', 'experiment'], ['zod']),
  labs: pure(BELOW_EXPERIMENTS),
  // Drawn from results only: what is not in the result file is not in the report.
  report: pure(['base', 'sim', 'experiment', 'labs']),
  live: { folders: ['base', 'uapi', 'heat', 'policy', 'trace'], packages: [], node: true },
  runner: { folders: 'any but web', packages: ['piscina'], node: true },
  cli: {
    folders: 'any but web',
    packages: ['cli-table3', 'commander', 'hyparquet-writer', 'yaml'],
    node: true,
  },
  server: { folders: 'any but web', packages: [], node: true },
  web: pure(PURE_FOLDERS),
  // src/index.ts, the library.
  '': pure(PURE_FOLDERS),
};
