/**
 * Where the package lies, and what its package.json says. The same code runs from src/ (tests),
 * dist/ (installed) and dist-bench/ (benches), so the folder is found by walking up, not by
 * counting dots.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from '../base/assert.ts';

let root = '';

/** The folder of hetmem's package.json: machines/, traces/, experiments/ and native/ are in it. */
export function packageRoot(): string {
  if (root !== '') return root;
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    assert(parent !== folder, 'hetmem runs outside of its package: no package.json above it');
    folder = parent;
  }
  root = folder;
  return root;
}

/** The version in package.json. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
}
