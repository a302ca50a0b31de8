/**
 * Files of published tables: YAML in, PublishedTable out, every mistake told with its place and a
 * remedy. Loads yaml and zod, so index.ts has it behind publishedFileReader().
 *
 * Order: shape, then names and cells, then the rules on the published figures: a rule that its own
 * source breaks says nothing about us.
 */
import { type Catalogue, isMachinePath } from '../experiment/index.ts';
import { machineFileReader, parseQuantity, SIZE } from '../hw/index.ts';
import { resolveKnobs } from '../policy/index.ts';
import { brokenBy, type Figures } from './judge.ts';
import { METRICS } from './metrics.ts';
import type {
  CellRef,
  Claim,
  Measure,
  PublishedTable,
  RunPart,
  ShapeRule,
  TableColumn,
  TableRow,
} from './publishedTable.ts';
import {
  type ClaimInput,
  type RuleInput,
  type RunPartInput,
  TABLE_SCHEMA,
  type TableInput,
} from './tableSchema.ts';

export { TABLE_FORMAT, tableJsonSchema } from './tableSchema.ts';

const { throwProblems, YamlFile } = await machineFileReader();

type FieldPath = readonly (string | number)[];
type Report = (path: FieldPath, message: string, remedy: string) => void;

/**
 * The table that `text` describes. Pure; `fileName` is only used in messages.
 * Errors: UserError; its text lists all problems, a line each, as file:line:column: path: message.
 */
export function parseTable(text: string, fileName: string, catalogue: Catalogue): PublishedTable {
  const file = YamlFile.read(text, fileName, TABLE_SCHEMA);
  const problems: Parameters<typeof throwProblems>[0][number][] = [];
  const report: Report = (path, ...rest) => problems.push(file.problem(path, ...rest));
  const table = tableOf(file.value, report);
  checkParts(file.value, catalogue, report);
  checkAxes(table, report);
  if (problems.length === 0) checkRules(table, report);
  throwProblems(problems);
  return table;
}

function tableOf(input: TableInput, report: Report): PublishedTable {
  const { name, title, question, source, mark, measure, scaling, limits } = input;
  const columns = input.columns.map((column): TableColumn => {
    const { metric, unit, times = 1, relative_to: relativeTo = null, digits = 2 } = column;
    const run = partOf(column.run);
    return { name: column.name, unit, metric, times, relativeTo, digits, run };
  });
  const rows = input.rows.map((row, i): TableRow => {
    const only = row.only?.map((word) => indexOf(word, columns, ['rows', i, 'only'], report));
    const { published } = row;
    const run = partOf(row.run);
    return { name: row.name, published, mark: row.mark ?? mark, only: only ?? null, run };
  });
  const rules = input.rules.map((rule, i) => {
    const at = (path: FieldPath): FieldPath => ['rules', i, ...path];
    const claim = (one: ClaimInput, path: FieldPath) => {
      return claimOf(one, rows, columns, (...rest) => report(at(path), ...rest));
    };
    return ruleOf(rule, claim, (path, ...rest) => report(at(path), ...rest));
  });
  return {
    name,
    title,
    question,
    source,
    mark,
    measure,
    scaling,
    limits,
    rowTitle: input.row_title ?? '',
    run: partOf(input.run),
    columns,
    rows,
    rules,
  };
}

/** The column of that name, -1 if there is none. */
function indexOf(
  word: string,
  columns: readonly TableColumn[],
  path: FieldPath,
  report: Report,
): number {
  const index = columns.findIndex(({ name }) => name === word);
  const known = columns.map(({ name }) => name).join(', ');
  if (index < 0) report(path, `no column ${word}`, `known: ${known}`);
  return index;
}

function partOf(input: RunPartInput | undefined): RunPart {
  if (input === undefined) return {};
  const { policy, generator, trace, sizes } = input;
  const choice = typeof policy === 'string' ? { name: policy } : policy;
  const workload =
    generator === undefined && trace === undefined
      ? undefined
      : { name: generator ?? trace!, trace: trace ?? '', generator: generator ?? '', params: {} };
  return {
    machine: input.machine,
    sizes: sizes && mapValues(sizes, (text) => parseQuantity(SIZE, text)!),
    kernel: input.kernel,
    parallelism: input.parallelism,
    sysctl: input.sysctl,
    policy: choice && { name: choice.name, params: choice.params ?? {} },
    workload,
    params: input.params,
    seed: input.seed,
    background: input.background?.map(({ node, cores, lines, read_share: readShare }) => {
      return { nid: node, cores, lines, readShare };
    }),
    lines: input.lines,
    readShare: input.read_share,
    weights: input.weights,
    isMin: input.min,
    order: input.order,
    folios: input.folios,
    from: input.from,
    to: input.to,
    cpusFlushed: input.cpus_flushed,
  };
}

function mapValues<In, Out>(record: Readonly<Record<string, In>>, map: (value: In) => Out) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

function ruleOf(
  input: RuleInput,
  claimOf: (claim: ClaimInput, at: FieldPath) => Claim,
  report: Report,
): ShapeRule {
  const { means, why_not: whyNot = '', shown_by: shownBy } = input;
  if (shownBy !== undefined && whyNot === '') {
    report(['shown_by'], 'shows nothing', 'say why_not, or leave it out');
  }
  const shown = shownBy === undefined ? null : claimOf(shownBy, ['shown_by']);
  return { means, ...claimOf(input, []), whyNot, shownBy: shown };
}

function claimOf(
  input: ClaimInput,
  rows: readonly TableRow[],
  columns: readonly TableColumn[],
  report: (message: string, remedy: string) => void,
): Claim {
  const [kind, words] = kindOf(input);
  const cells = words.flatMap((word) => cellsOf(word, rows, columns, report));
  const by = 'by' in input ? (input.by ?? 0) : 0;
  const between = 'between' in input ? input.between : ([0, 0] as const);
  return { kind, cells, by, between };
}

function kindOf(input: ClaimInput): [Claim['kind'], readonly string[]] {
  if ('falls' in input) return ['falls', input.falls];
  if ('rises' in input) return ['rises', input.rises];
  if ('ratio' in input) return ['ratio', input.ratio];
  return ['near', input.near];
}

/** Of "ROW / COLUMN" the cells, row by row. */
function cellsOf(
  word: string,
  rows: readonly TableRow[],
  columns: readonly TableColumn[],
  report: (message: string, remedy: string) => void,
): CellRef[] {
  const [rowWord = '', columnWord = '*'] = word.split(' / ');
  const indices = (what: string, one: string, axis: readonly { readonly name: string }[]) => {
    const found = [...axis.keys()].filter((i) => one === '*' || axis[i]!.name === one);
    const known = axis.map(({ name }) => name).join(', ');
    if (found.length === 0) report(`no ${what} ${one}`, `known: ${known}`);
    return found;
  };
  const at = indices('column', columnWord, columns);
  return indices('row', rowWord, rows).flatMap((row) => at.map((column) => ({ row, column })));
}

/** Keys of a run part that only one measure has. */
const KEYS_OF: Readonly<Record<Measure, readonly (keyof RunPartInput)[]>> = {
  program: [
    'policy',
    'generator',
    'trace',
    'params',
    'seed',
    'background',
    'sizes',
    'parallelism',
    'sysctl',
  ],
  bandwidth: ['lines', 'read_share', 'weights', 'min'],
  migration: ['order', 'folios', 'from', 'to', 'cpus_flushed'],
};

function checkParts(input: TableInput, catalogue: Catalogue, report: Report): void {
  const parts: [FieldPath, RunPartInput | undefined][] = [
    [['run'], input.run],
    ...input.rows.map(({ run }, i): [FieldPath, typeof run] => [['rows', i, 'run'], run]),
    ...input.columns.map(({ run }, i): [FieldPath, typeof run] => [['columns', i, 'run'], run]),
  ];
  for (const [path, part] of parts) {
    if (part === undefined) continue;
    for (const [measure, keys] of Object.entries(KEYS_OF)) {
      const wrong = keys.find((key) => part[key] !== undefined && measure !== input.measure);
      if (wrong === undefined) continue;
      const remedy = `${KEYS_OF[input.measure].join(', ')} are what ${input.measure} knows`;
      report([...path, wrong], `is for measure: ${measure}`, remedy);
    }
    checkNames(part, catalogue, (at, ...rest) => report([...path, ...at], ...rest));
  }
}

function checkNames(part: RunPartInput, catalogue: Catalogue, report: Report): void {
  const { machine, generator } = part;
  if (machine !== undefined && !isMachinePath(machine) && !catalogue.machines.includes(machine)) {
    report(['machine'], `no machine ${machine}`, `known: ${catalogue.machines.join(', ')}`);
  }
  if (generator !== undefined && !catalogue.generators.some(({ name }) => name === generator)) {
    const known = catalogue.generators.map(({ name }) => name).join(', ');
    report(['generator'], `no generator ${generator}`, `known: ${known}`);
  }
  if (part.policy === undefined) return;
  const { name, params = {} } =
    typeof part.policy === 'string' ? { name: part.policy } : part.policy;
  const policy = catalogue.policies.find((known) => known.name === name);
  if (policy === undefined) {
    const known = catalogue.policies.map((one) => one.name).join(', ');
    report(['policy'], `no policy ${name}`, `known: ${known}`);
    return;
  }
  for (const { name: knob, problem, remedy } of resolveKnobs(policy.knobs, params).problems) {
    report(['policy', 'params', knob], problem, remedy);
  }
}

function checkAxes({ measure, rows, columns }: PublishedTable, report: Report): void {
  for (const axis of ['rows', 'columns'] as const) {
    const names = (axis === 'rows' ? rows : columns).map(({ name }) => name);
    for (const [i, name] of names.entries()) {
      if (names.indexOf(name) !== i)
        report([axis, i, 'name'], `${name} is there twice`, 'rename it');
      if (name.includes(' / '))
        report([axis, i, 'name'], 'has a slash between blanks', 'rename it');
    }
  }
  for (const [i, { metric, relativeTo }] of columns.entries()) {
    const known = METRICS[measure];
    if (!known.includes(metric)) {
      report(['columns', i, 'metric'], `no metric ${metric}`, `known: ${known.join(', ')}`);
    }
    if (relativeTo === null || rows.some(({ name }) => name === relativeTo)) continue;
    report(['columns', i, 'relative_to'], `no row ${relativeTo}`, 'name a row of this table');
  }
  for (const [i, { published }] of rows.entries()) {
    if (published.length === columns.length) continue;
    const message = `${published.length} figures for ${columns.length} columns`;
    report(['rows', i, 'published'], message, 'write null for what was not published');
  }
}

/** Where all its figures were published, a rule holds on them. */
function checkRules(table: PublishedTable, report: Report): void {
  const published: Figures = table.rows.map((row) => row.published);
  for (const [i, rule] of table.rules.entries()) {
    if (rule.cells.some(({ row, column }) => published[row]![column] === null)) continue;
    const broken = brokenBy(table, rule, published);
    if (broken !== '') report(['rules', i], `the published figures break it: ${broken}`, 'mend it');
  }
}
