/**
 * Sources and their tests as plain ESM in a folder below node_modules/.cache, each file changed on
 * its way by a transformer, with a `vitest` of a hundred lines in place of the real one
 * (testShim.mjs): so that one process can run any test a thousand times.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Folders of the model and of what its tests need. */
const FOLDERS = [
  'base',
  'uapi',
  'engine',
  'hw',
  'mm',
  'proc',
  'syscalls',
  'drivers',
  'why',
  'conform',
];
const DATA = ['cases', 'machines.json', 'deviations.json'];

/** @typedef {(path: string) => ts.TransformerFactory<ts.SourceFile>[]} TransformersOf */

/**
 * Writes everything to node_modules/.cache/`name` and returns that folder.
 * @param {string} name
 * @param {TransformersOf} transformersOf given a path from the project's root
 */
export function transpileTree(name, transformersOf) {
  const out = join(ROOT, 'node_modules', '.cache', name);
  rmSync(out, { recursive: true, force: true });
  const folders = [
    ...FOLDERS.map((folder) => join('src', folder)),
    'test/conformance',
    'test/fuzz',
  ];
  for (const path of folders.flatMap(scriptsOf)) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    const result = ts.transpileModule(text, {
      fileName: path,
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2022,
        rewriteRelativeImportExtensions: true,
        removeComments: true,
      },
      transformers: { before: transformersOf(path) },
    });
    write(join(out, path.replace(/\.ts$/, '.js')), result.outputText);
  }
  for (const data of DATA) {
    const at = join('test/conformance', data);
    cpSync(join(ROOT, at), join(out, at), { recursive: true });
  }
  write(join(out, 'package.json'), '{"type":"module"}');
  const shim = join(out, 'node_modules', 'vitest');
  write(join(shim, 'package.json'), '{"type":"module","main":"index.mjs"}');
  cpSync(join(ROOT, 'tools/instrument/testShim.mjs'), join(shim, 'index.mjs'));
  return out;
}

/** @param {string} folder */
export function scriptsOf(folder) {
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();
}

/**
 * @param {string} path
 * @param {string} text
 */
function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
