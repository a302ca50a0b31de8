/**
 * Records the traces in traces/ again: makes the inputs (same bytes each time), runs the programs
 * of Debian 12 under `hetmem record`, and writes traces/provenance.json and traces/README.md.
 *
 * Usage: node tools/recordTraces.mjs [--install] [--readme] [NAME...]   without a name: all of them
 * --install lets apt-get install what is missing (as root); otherwise it is only named.
 * --readme records nothing and writes traces/README.md from what is known.
 * Instruction counts differ a little from machine to machine; everything else repeats.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { writeCSource } from '../traces/programs/cSource.mjs';
import { fill, RedisClient, shutDown, use } from '../traces/programs/redisLoad.mjs';
import { writeTextLines } from '../traces/programs/textLines.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TRACES = join(ROOT, 'traces');
const PROGRAMS = join(TRACES, 'programs');
const PROVENANCE = join(TRACES, 'provenance.json');
const WORK = '/tmp/hetmem-traces';
const HETMEM = (process.env.HETMEM ?? join(ROOT, 'bin', 'hetmem')).split(' ');
const TOTAL_BYTES_MAX = 40e6;

const REDIS_SOCKET = join(WORK, 'redis.sock');
const REDIS_ARGS = [
  '--port',
  '0',
  '--unixsocket',
  'redis.sock',
  '--save',
  '',
  '--logfile',
  'redis.log',
];
const REDIS_VALUE_BYTES = 400;
const REDIS_KEYS = 500_000;

/**
 * @typedef {object} Spec
 * @property {string} name
 * @property {string} kind
 * @property {string} about
 * @property {string[]} packages
 * @property {string} program
 * @property {string[]} args
 * @property {string[]} record
 * @property {string} [input]
 * @property {() => void} [prepare]
 * @property {() => Promise<void>} [load]
 */

/**
 * What is kept of a recording in provenance.json.
 *
 * @typedef {object} Fact
 * @property {string} kind
 * @property {string} about
 * @property {Record<string, string>} packages
 * @property {string[]} command
 * @property {string[]} options
 * @property {number} accesses
 * @property {number} accessesMade
 * @property {number} insns
 * @property {number} touchedBytes
 * @property {number} fileBytes
 * @property {number} processes
 * @property {number} threads
 * @property {number} secondsToRecord
 */

/**
 * One trace each. `prepare` makes inputs in WORK; `load` runs beside the program; `input` is its
 * standard input; `record` are options of hetmem record.
 *
 * @type {Spec[]}
 */
const SPECS = [
  {
    name: 'redis',
    kind: 'key-value store under load',
    about:
      '500,000 values of 400 bytes stored, then three phases of requests with a hot tenth each',
    packages: ['redis-server'],
    program: 'redis-server',
    args: REDIS_ARGS,
    record: ['--cache', 'server-llc'],
    load: async () => {
      const client = await RedisClient.open(REDIS_SOCKET);
      await fill(client, REDIS_KEYS, REDIS_VALUE_BYTES);
      for (const phase of [1, 2, 3]) {
        await use(client, REDIS_KEYS, 80_000, REDIS_VALUE_BYTES, phase / 4, phase);
      }
      shutDown(client);
    },
  },
  {
    name: 'redis-fork',
    kind: 'key-value store that forks',
    about: 'the store, filled (skipped), saves a snapshot from a forked child while requests go on',
    packages: ['redis-server'],
    prepare: () => rmSync(join(WORK, 'dump.rdb'), { force: true }),
    program: 'redis-server',
    args: [...REDIS_ARGS, '--dbfilename', 'dump.rdb', '--rdbcompression', 'no'],
    record: ['--cache', 'server-llc', '--skip', '2.5g', '--max-accesses', '9m'],
    load: async () => {
      const client = await RedisClient.open(REDIS_SOCKET);
      await fill(client, REDIS_KEYS, REDIS_VALUE_BYTES);
      await use(client, REDIS_KEYS, 10_000, REDIS_VALUE_BYTES, 0.25, 1);
      await client.send([['BGSAVE']]);
      await use(client, REDIS_KEYS, 40_000, REDIS_VALUE_BYTES, 0.25, 2);
      // The child gives the snapshot its name when it is complete.
      while (!existsSync(join(WORK, 'dump.rdb'))) await sleep(100);
      await use(client, REDIS_KEYS, 20_000, REDIS_VALUE_BYTES, 0.25, 3);
      shutDown(client);
    },
  },
  {
    name: 'sqlite',
    kind: 'database running queries',
    about: 'report, look-ups, scan, sort and look-ups elsewhere on a database file that is mapped',
    packages: ['sqlite3'],
    program: 'sqlite3',
    args: ['shop.db'],
    input: join(PROGRAMS, 'shopQueries.sql'),
    record: ['--cache', 'server-llc'],
    prepare: () => {
      rmSync(join(WORK, 'shop.db'), { force: true });
      runOrDie('sqlite3', ['shop.db'], { input: readFileSync(join(PROGRAMS, 'shop.sql')) });
    },
  },
  {
    name: 'cc1',
    kind: 'compiler',
    about:
      "GCC's C compiler at -O1 on 1,200 generated functions, from the middle of the compilation on",
    packages: ['gcc-12', 'cpp-12'],
    program: '/usr/lib/gcc/x86_64-linux-gnu/12/cc1',
    args: ['-quiet', '-fpreprocessed', '-O1', 'big.i', '-o', '/dev/null'],
    record: ['--cache', 'server-llc', '--skip', '25g', '--max-accesses', '6m'],
    prepare: () => writeCSource(join(WORK, 'big.i'), 1200),
  },
  {
    name: 'sort',
    kind: 'sort',
    about: 'GNU sort with two threads on 250 MB of text in memory',
    packages: ['coreutils'],
    program: 'sort',
    args: ['--parallel=2', '-S', '400M', 'lines.txt', '-o', 'sorted.txt'],
    record: ['--cache', 'server-llc'],
    prepare: () => writeTextLines(join(WORK, 'lines.txt'), 450_000, 560),
  },
  {
    name: 'graph',
    kind: 'graph analysis',
    about:
      'igraph: breadth-first search, components and coreness of a network of 1.7 million edges',
    packages: ['python3-igraph', 'python3.11-minimal'],
    program: '/usr/bin/python3',
    args: ['graph.py', '540', '2', '0.001'],
    prepare: () => copyProgram('graph.py'),
    record: ['--cache', 'server-llc', '--skip', '1.9g'],
  },
  {
    name: 'python',
    kind: 'script runtime',
    about: 'CPython: 400,000 visitors as objects, then three phases with another hot twelfth each',
    packages: ['python3.11-minimal'],
    program: '/usr/bin/python3',
    args: ['visitors.py', '400000', '160000'],
    prepare: () => copyProgram('visitors.py'),
    record: ['--cache', 'server-llc', '--skip', '4.25g'],
  },
];

/** The environment is part of the input: sizes of strings on the stack, hashes, sort order. */
const ENVIRONMENT = { PATH: process.env.PATH, LC_ALL: 'C', PYTHONHASHSEED: '0', HOME: WORK };

/** @param {string[]} args */
async function main(args) {
  const names = args.filter((arg) => !arg.startsWith('--'));
  for (const name of names) {
    if (!SPECS.some((spec) => spec.name === name)) die(`there is no trace named ${name}`);
  }
  if (args.includes('--readme')) {
    writeProvenance(readProvenance());
    return;
  }
  const specs = SPECS.filter((spec) => names.length === 0 || names.includes(spec.name));
  checkPackages([...new Set(specs.flatMap((spec) => spec.packages))], args.includes('--install'));
  mkdirSync(WORK, { recursive: true });
  const provenance = readProvenance();
  for (const spec of specs) {
    console.error(`== ${spec.name}`);
    spec.prepare?.();
    provenance[spec.name] = await recordOne(spec);
    writeProvenance(provenance);
  }
  rmSync(WORK, { recursive: true, force: true });
  const total = SPECS.reduce((sum, { name }) => {
    const file = join(TRACES, `${name}.hmt`);
    return sum + (existsSync(file) ? statSync(file).size : 0);
  }, 0);
  console.error(`all traces: ${(total / 1e6).toFixed(1)} MB`);
  if (total > TOTAL_BYTES_MAX) die('that is more than the 40 MB that the repository should carry');
}

/** @returns {Record<string, Fact>} */
function readProvenance() {
  return existsSync(PROVENANCE) ? JSON.parse(readFileSync(PROVENANCE, 'utf8')) : {};
}

/**
 * Writes provenance.json and README.md, in the order of SPECS and with their texts.
 *
 * @param {Record<string, Fact>} provenance
 */
function writeProvenance(provenance) {
  /** @type {Record<string, Fact>} */
  const facts = {};
  for (const { name, kind, about } of SPECS) {
    const fact = provenance[name];
    if (fact !== undefined) facts[name] = { ...fact, kind, about };
  }
  writeFileSync(PROVENANCE, `${JSON.stringify(facts, null, 2)}\n`);
  writeFileSync(join(TRACES, 'README.md'), readme(facts));
}

/**
 * @param {Spec} spec
 * @returns {Promise<Fact>}
 */
async function recordOne(spec) {
  const trace = join(TRACES, `${spec.name}.hmt`);
  const options = ['record', '--json', '--force', '-o', trace, ...spec.record];
  const command = [...HETMEM, ...options, '--', spec.program, ...spec.args];
  const started = performance.now();
  const child = spawn(String(command[0]), command.slice(1), {
    cwd: WORK,
    env: ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => {});
  child.stdin.end(spec.input === undefined ? '' : readFileSync(spec.input));
  /** @type {Buffer[]} */
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  const ended = new Promise((resolve) => child.on('close', resolve));
  spec.load?.().catch((error) => console.error(String(error)));
  const status = await ended;
  if (status !== 0) die(`recording ${spec.name} failed`);
  const result = JSON.parse(Buffer.concat(output).toString().trim().split('\n').at(-1) ?? '');
  return {
    kind: spec.kind,
    about: spec.about,
    packages: Object.fromEntries(spec.packages.map((name) => [name, versionOf(name)])),
    command: [spec.program, ...spec.args],
    options: spec.record,
    accesses: result.accesses,
    accessesMade: result.accessesMade,
    insns: result.insns,
    touchedBytes: result.touchedBytes,
    fileBytes: statSync(trace).size,
    processes: result.summary.processes.length,
    threads: result.summary.threads.length,
    secondsToRecord: Math.round((performance.now() - started) / 1000),
  };
}

/**
 * Names what is missing; installs it only when asked to.
 *
 * @param {string[]} packages
 * @param {boolean} isInstalling
 */
function checkPackages(packages, isInstalling) {
  const missing = ['qemu-user', 'gcc', ...packages].filter((name) => versionOf(name) === '');
  if (missing.length === 0) return;
  if (!isInstalling) die(`missing packages: apt-get install ${missing.join(' ')} (or --install)`);
  runOrDie('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {});
}

/**
 * The version of an installed package, '' if it is not installed.
 *
 * @param {string} name
 */
function versionOf(name) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own notation
  const query = ['-W', '-f', '${db:Status-Status} ${Version}', name];
  const [status, version] = (
    spawnSync('dpkg-query', query, { encoding: 'utf8' }).stdout ?? ''
  ).split(' ');
  return status === 'installed' ? version : '';
}

/** @param {Record<string, Fact>} facts */
function readme(facts) {
  const rows = Object.entries(facts).map(([name, fact]) => {
    const packages = Object.entries(fact.packages).map(([p, version]) => `${p} ${version}`);
    const mebi = (/** @type {number} */ bytes) => (bytes / 1048576).toFixed(bytes < 100e6 ? 1 : 0);
    const cells = [
      `\`${name}.hmt\``,
      fact.kind,
      fact.about,
      `${(fact.accesses / 1e6).toFixed(1)} M`,
      mebi(fact.touchedBytes),
      mebi(fact.fileBytes),
      `${fact.processes} / ${fact.threads}`,
      packages.join(', '),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const commands = Object.entries(facts).map(([name, fact]) => {
    const input = SPECS.find((spec) => spec.name === name)?.input;
    const from = input === undefined ? '' : ` < ${basename(input)}`;
    const program = `${fact.command.map(quoted).join(' ')}${from}`;
    return `    hetmem record -o ${name}.hmt ${fact.options.join(' ')} \\\n        -- ${program}`;
  });
  return README_TEMPLATE.replace('@ROWS@', rows.join('\n')).replace(
    '@COMMANDS@',
    commands.join('\n'),
  );
}

/** @param {string} word */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`;
}

const README_TEMPLATE = `# traces: real programs, recorded

Written by \`node tools/recordTraces.mjs\` from \`provenance.json\`; do not edit.

Each file is what one run of a program of Debian 12 did to memory: the accesses that missed the
modelled caches, and its memory system calls (FORMATS.md; \`hetmem trace info FILE\`). Touched MiB
counts distinct pages of addresses; memory that was unmapped and mapped again elsewhere counts
twice.

| file | what | what happens | accesses | touched MiB | file MiB | processes / threads | packages |
|---|---|---|---|---|---|---|---|
@ROWS@

## Recorded again

    node tools/recordTraces.mjs [--install] [NAME...]

makes the inputs, starts the load beside the program where it needs one, and records. The inputs
come from fixed seeds (\`programs/\`). The commands alone:

@COMMANDS@

Caches (\`--cache server-llc\`): L1d 48 KiB and L2 2 MiB of each thread, LLC 32 MiB of all. With
\`--skip\`, only system calls and first touches are kept of the beginning, so that the replay starts
with the memory which the program had built.

## What they are not

- The time base is instructions of the thread, not seconds.
- Addresses are those of QEMU's user emulation: mappings go upwards from 1 << 38 and unmapped
  addresses are not reused soon; anonymous mappings of whole 2 MiB are aligned as by Linux 6.7.
- Loads by hardware prefetchers, instruction fetches but for the first of each block, and what the
  kernel itself touches are missing.
`;

/**
 * A relative name in the trace's header does not tell where the checkout was.
 *
 * @param {string} name
 */
function copyProgram(name) {
  copyFileSync(join(PROGRAMS, name), join(WORK, name));
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnSyncOptions} options
 */
function runOrDie(command, args, options) {
  const done = spawnSync(command, args, {
    cwd: WORK,
    env: ENVIRONMENT,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'ignore', 'inherit'],
    ...options,
  });
  if (done.status !== 0) die(`${command} failed`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function die(message) {
  console.error(message);
  process.exit(1);
}

await main(process.argv.slice(2));
