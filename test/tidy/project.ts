/**
 * The files that the house rules look at, and what a rule says about them.
 *
 * A rule is a function of one file, or of the whole project, that returns findings. All rules share
 * one reading and one parse of each file.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

export interface Finding {
  readonly path: string;
  /** 1-based. */
  readonly line: number;
  /** What is wrong, then what to do: printed behind the place. */
  readonly message: string;
}

export type FileRule = (file: ProjectFile) => Finding[];
export type ProjectRule = (project: Project) => Finding[];

/** Built, installed or recorded: not written by hand. */
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([
  '.git',
  'node_modules',
  'dist',
  'dist-bench',
  'coverage',
  'reports',
  'results',
  'native/build',
  'test/conformance/cases',
  'test/conformance/captures',
]);

export class ProjectFile {
  /** From the project's root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  #tree: ts.SourceFile | null = null;
  #nodes: readonly ts.Node[] | null = null;

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
    this.lines = text.split('\n');
  }

  /** `mm` for src/mm/…, `` for src/index.ts, null outside of src/. */
  get folder(): string | null {
    const parts = this.path.split('/');
    if (parts[0] !== 'src') return null;
    return parts.length > 2 ? parts[1] : '';
  }

  get name(): string {
    return this.path.slice(this.path.lastIndexOf('/') + 1);
  }

  get isScript(): boolean {
    return /\.(ts|mjs)$/.test(this.path);
  }

  /** Unit tests and everything that only tests use. */
  get isTest(): boolean {
    return this.path.startsWith('test/') || /\.(test|fuzz)\.ts$/.test(this.path);
  }

  /** The parsed file; TypeScript 6, because 7 has no stable interface yet. */
  get tree(): ts.SourceFile {
    this.#tree ??= ts.createSourceFile(this.path, this.text, ts.ScriptTarget.ES2023, true);
    return this.#tree;
  }

  /** Calls `visit` for every node of the tree; most rules look at all of them. */
  eachNode(visit: (node: ts.Node) => void): void {
    this.#nodes ??= nodesOf(this.tree);
    for (const node of this.#nodes) visit(node);
  }

  lineOf(position: number): number {
    return this.tree.getLineAndCharacterOfPosition(position).line + 1;
  }

  finding(line: number, message: string): Finding {
    return { path: this.path, line, message };
  }

  findingAt(node: ts.Node, message: string): Finding {
    return this.finding(this.lineOf(node.getStart(this.tree)), message);
  }
}

export class Project {
  readonly files: readonly ProjectFile[];
  readonly #byPath: ReadonlyMap<string, ProjectFile>;
  readonly #paths: ReadonlySet<string>;

  /** `otherPaths` exist but are not read: binaries, recorded files. */
  constructor(files: readonly ProjectFile[], otherPaths: readonly string[] = []) {
    this.files = files;
    this.#byPath = new Map(files.map((file) => [file.path, file]));
    this.#paths = new Set([...files.map((file) => file.path), ...otherPaths]);
  }

  find(path: string): ProjectFile | null {
    return this.#byPath.get(path) ?? null;
  }

  /** Whether `path` is a file of the project, or a folder with one. */
  exists(path: string): boolean {
    if (this.#paths.has(path)) return true;
    for (const other of this.#paths) if (other.startsWith(`${path}/`)) return true;
    return false;
  }
}

/** Whether a text file is written by hand; others are only known to exist. */
function isRead(path: string): boolean {
  if (path === 'package-lock.json' || path === 'LICENSE') return false;
  return /\.(ts|mjs|c|h|md|json|yaml|yml)$/.test(path) || /^(bin|\.ci)\/[^.]*$/.test(path);
}

/** Reads the project at `root`. */
export function readProject(root: string): Project {
  const files: ProjectFile[] = [];
  const otherPaths: string[] = [];
  for (const path of pathsUnder(root, '')) {
    if (isRead(path)) files.push(new ProjectFile(path, readFileSync(join(root, path), 'utf8')));
    else otherPaths.push(path);
  }
  return new Project(files, otherPaths);
}

function pathsUnder(root: string, folder: string): string[] {
  const paths: string[] = [];
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (!entry.isDirectory()) paths.push(path);
    else if (SKIPPED_FOLDERS.has(path)) paths.push(`${path}/`);
    else paths.push(...pathsUnder(root, path));
  }
  return paths;
}

/** Calls `visit` for `node` and everything below it. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function nodesOf(tree: ts.SourceFile): ts.Node[] {
  const nodes: ts.Node[] = [];
  walk(tree, (node) => nodes.push(node));
  return nodes;
}

/** `path:line: message`, a line each. */
export function formatFindings(findings: readonly Finding[]): string {
  return findings.map(({ path, line, message }) => `${path}:${line}: ${message}`).join('\n');
}
