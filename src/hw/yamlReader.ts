/**
 * Reads a YAML text against a zod schema; every problem is told with file:line:column, the path of
 * the field and a remedy. Used by machine files; knows nothing about them.
 *
 * How: `yaml` keeps the source range of every node, zod tells the path of every issue; the two are
 * joined here. Unknown keys are refused with the closest known one (closedObject).
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from 'yaml';
import { z } from 'zod';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';

/** Aliases a file may expand to: a guard against "billion laughs" files. */
const ALIASES_MAX = 100;

export type FieldPath = readonly (string | number)[];

/** One thing wrong with a file, at one place. */
export interface FileProblem {
  /** file:line:column. */
  readonly place: string;
  /** The field, as nodes.1.size; '' = the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
}

/** A message with its remedy in one text, as zod's error hook wants it; taken apart again below. */
const REMEDY_MARK = '\u0000';

/** Text for a zod `error` hook: what is wrong, and what to do. */
export function withRemedy(message: string, remedy: string): string {
  return `${message}${REMEDY_MARK}${remedy}`;
}

/** An object that refuses unknown keys and suggests the closest known one. */
export function closedObject<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const key = issue.keys[0]!;
      return withRemedy(`unknown key ${key}`, suggestion(key, known));
    },
  });
}

/** A YAML text that was read: the checked value, and where each field stands. */
export class YamlFile<Value> {
  readonly value: Value;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #fileName: string;

  private constructor(value: Value, document: Document, lines: LineCounter, fileName: string) {
    this.value = value;
    this.#document = document;
    this.#lines = lines;
    this.#fileName = fileName;
  }

  /** Reads `text`; throws UserError that lists every problem, first one first. */
  static read<Schema extends z.ZodType>(
    text: string,
    fileName: string,
    schema: Schema,
  ): YamlFile<z.output<Schema>> {
    const lines = new LineCounter();
    const options = { lineCounter: lines, prettyErrors: false, logLevel: 'error' } as const;
    const document = parseDocument(text, options);
    const syntax = document.errors.map((error) => ({
      place: placeAt(fileName, lines, error.pos[0]),
      path: '',
      message: error.message,
      remedy: '',
    }));
    throwProblems(syntax);
    const file = new YamlFile<unknown>(undefined, document, lines, fileName);
    const parsed = schema.safeParse(file.#plain());
    if (!parsed.success) throwProblems(parsed.error.issues.map((issue) => file.#problemOf(issue)));
    return new YamlFile<z.output<Schema>>(parsed.data!, document, lines, fileName);
  }

  /** A problem found later, at the field `path` (or the nearest thing above it that is there). */
  problem(path: FieldPath, message: string, remedy: string): FileProblem {
    return { place: this.#place(path), path: path.join('.'), message, remedy };
  }

  #plain(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: ALIASES_MAX });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new UserError(`${this.#fileName}:1:1`, message, 'write the repeated parts out');
    }
  }

  #problemOf(issue: z.core.$ZodIssue): FileProblem {
    const inner = innermost(issue);
    const path = inner.path as (string | number)[];
    const [message, remedy = ''] = inner.message.split(REMEDY_MARK);
    if (inner.code === 'unrecognized_keys') {
      const key = inner.keys[0]!;
      const place = this.#keyPlace(path, key);
      return { place, path: [...path, key].join('.'), message: message!, remedy };
    }
    const text = this.#has(path) ? message! : 'is missing';
    return { place: this.#place(path), path: path.join('.'), message: text, remedy };
  }

  #has(path: FieldPath): boolean {
    let node = this.#resolve(this.#document.contents);
    for (const part of path) {
      const child = childOf(node, part);
      if (child === null || child.value === undefined) return false;
      node = this.#resolve(child.value);
    }
    return true;
  }

  #place(path: FieldPath): string {
    let node: unknown = this.#document.contents;
    let range = this.#document.contents?.range;
    for (const part of path) {
      node = childOf(this.#resolve(node), part)?.value;
      if (!isNode(node) || !node.range) break;
      range = node.range;
    }
    return placeAt(this.#fileName, this.#lines, range?.[0] ?? 0);
  }

  /** Where the key itself stands. */
  #keyPlace(path: FieldPath, key: string): string {
    let node = this.#resolve(this.#document.contents);
    for (const part of path) node = this.#resolve(childOf(node, part)?.value);
    const found = childOf(node, key)?.key;
    if (!isNode(found) || !found.range) return this.#place(path);
    return placeAt(this.#fileName, this.#lines, found.range[0]);
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node;
  }
}

/** Key and value node of an entry; keys are compared as texts (`0:` is a number in YAML). */
function childOf(node: unknown, part: string | number): { key?: unknown; value: unknown } | null {
  if (isSeq(node)) return { value: node.items[Number(part)] };
  if (!isMap(node)) return null;
  const isIt = (key: unknown) => isScalar(key) && String(key.value) === String(part);
  return node.items.find(({ key }) => isIt(key)) ?? null;
}

/** Throws one UserError for `problems`, unless there are none. */
export function throwProblems(problems: readonly FileProblem[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  const where = first.path === '' ? '' : `${first.path}: `;
  const rest = others.map((problem) => `\n${describeProblem(problem)}`).join('');
  if (rest === '') throw new UserError(first.place, `${where}${first.message}`, first.remedy);
  const remedy = first.remedy === '' ? '' : ` (${first.remedy})`;
  throw new UserError(first.place, `${where}${first.message}${remedy}${rest}`);
}

function describeProblem(problem: FileProblem): string {
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const remedy = problem.remedy === '' ? '' : ` (${problem.remedy})`;
  return `${problem.place}: ${path}${problem.message}${remedy}`;
}

function placeAt(fileName: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${fileName}:${line}:${col}`;
}

/** What an issue is really about: of a union, the branch whose type fits; of a key, its rule. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  const inner = fittingIssue(issue) ?? issue;
  if (inner.code !== 'invalid_key' || inner.issues[0] === undefined) return inner;
  return { ...inner, message: inner.issues[0].message };
}

/** null = the value is of another type than this branch wants. */
function fittingIssue(issue: z.core.$ZodIssue): z.core.$ZodIssue | null {
  if (issue.code === 'invalid_union') {
    for (const branch of issue.errors) {
      const inner = branch[0] === undefined ? null : fittingIssue(branch[0]);
      if (inner !== null) return { ...inner, path: [...issue.path, ...inner.path] };
    }
  }
  const isAboutType = ['invalid_type', 'invalid_value', 'invalid_union'].includes(issue.code);
  return isAboutType && issue.path.length === 0 ? null : issue;
}
