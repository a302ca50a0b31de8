/** map-of-imports: every import of src/ is allowed by importTable.ts. */
import { dirname, posix } from 'node:path';
import ts from 'typescript';
import { IMPORT_TABLE, OPEN_FOLDERS } from './importTable.ts';
import type { Finding, ProjectFile } from './project.ts';

export interface Import {
  readonly specifier: string;
  readonly node: ts.Node;
}

/** All modules that a file names: import, export from, import(), and new URL('./worker.ts', …). */
export function importsOf(file: ProjectFile): Import[] {
  const found: Import[] = [];
  file.eachNode((node) => {
    const named = moduleNamedBy(node);
    if (named !== undefined && ts.isStringLiteralLike(named)) {
      found.push({ specifier: named.text, node });
    }
  });
  return found;
}

function moduleNamedBy(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) {
    return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return node.arguments[0];
  }
  const isUrl = ts.isNewExpression(node) && node.expression.getText() === 'URL';
  const first = isUrl ? node.arguments?.[0] : undefined;
  const isModule =
    first !== undefined && ts.isStringLiteralLike(first) && /^\.{1,2}\/.*\.[tj]s$/.test(first.text);
  return isModule ? first : undefined;
}

/** The path a relative specifier leads to; compiled names (`.js`) lead to their source. */
export function targetOf(file: ProjectFile, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  const path = posix.join(dirname(file.path), specifier);
  return path.replace(/\.js$/, '.ts');
}

export function checkImports(file: ProjectFile): Finding[] {
  if (file.folder === null || !file.isScript || file.isTest) return [];
  const row = IMPORT_TABLE[file.folder];
  if (row === undefined) {
    const remedy = 'add its row to test/tidy/importTable.ts and to ARCHITECTURE.md';
    return [file.finding(1, `src/${file.folder} is not in the table of imports: ${remedy}`)];
  }
  return importsOf(file).flatMap(({ specifier, node }) => {
    const problem = problemOf(file, file.folder ?? '', specifier);
    return problem === null ? [] : [file.findingAt(node, problem)];
  });
}

function problemOf(file: ProjectFile, folder: string, specifier: string): string | null {
  const row = IMPORT_TABLE[folder];
  const who = folder === '' ? 'src/index.ts' : `${folder}/`;
  const target = targetOf(file, specifier);
  if (target === null) {
    if (specifier.startsWith('node:')) {
      return row.node ? null : `${who} is pure and may not import ${specifier}: pass the value in`;
    }
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    if (row.packages.includes(name)) return null;
    return `${who} may not import the package ${name}: see test/tidy/importTable.ts`;
  }
  if (!target.startsWith('src/'))
    return `${target} is outside of src/: move what is shared into it`;
  const parts = target.split('/');
  const other = parts.length > 2 ? parts[1] : '';
  if (other === folder) return null;
  const isAllowed = row.folders === 'any but web' ? other !== 'web' : row.folders.includes(other);
  if (!isAllowed) {
    const may = row.folders === 'any but web' ? row.folders : row.folders.join(' ') || 'nothing';
    return `${who} may not import ${other}/ (it may: ${may}): pass the value in, or move the code`;
  }
  if (OPEN_FOLDERS.has(other) || parts[2] === 'index.ts') return null;
  return `import ../${other}/index.ts, the only door of ${other}/, and export the name there`;
}
