/**
 * A plugin for vitest: tests import the built modules of dist/ where they name sources of src/.
 * Node loads those by itself. Through vitest's own loader every use of an import is the call of a
 * getter, which makes the model two to three times as slow. Preconditions: dist/ is up to date.
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SOURCES = join(ROOT, 'src');

/**
 * What a configuration of vitest needs for it: nothing unless HETMEM_TESTS_ON_BUILD is 1, as in
 * `npm test`; whoever runs vitest by himself tests the sources as they are.
 */
export const onBuild = {
  plugins: process.env.HETMEM_TESTS_ON_BUILD === '1' ? [plugin()] : [],
  /** Node loads them, not vitest. */
  deps: { external: [/\/dist\//] },
};

/** @returns {import('vitest/config').Plugin} */
function plugin() {
  return {
    name: 'hetmem-tests-on-build',
    enforce: 'pre',
    resolveId(source, importer) {
      if (importer === undefined || !source.startsWith('.') || !source.endsWith('.ts')) return null;
      const path = resolve(dirname(importer), source);
      const inSources = relative(SOURCES, path);
      if (inSources.startsWith('..')) return null;
      const built = join(ROOT, 'dist', inSources.replace(/\.ts$/, '.js'));
      return existsSync(built) ? { id: built, external: true } : null;
    },
  };
}
