import { describe, expect, it } from 'vitest';
import { fileOf } from './fixture.ts';
import { checkImports, importsOf } from './imports.ts';
import { IMPORT_TABLE } from './importTable.ts';

describe('map-of-imports', () => {
  it.each([
    ['src/mm/a.ts', "import { x } from '../hw/index.ts';"],
    ['src/mm/a.ts', "import { x } from './deep/b.ts';"],
    ['src/mm/deep/a.ts', "import { x } from '../../base/assert.ts';"],
    ['src/mm/a.ts', "import { ENOMEM } from '../uapi/errno.ts';"],
    ['src/base/prng.ts', "import { y } from 'pure-rand/generator/xoroshiro128plus';"],
    ['src/cli/a.ts', "import fs from 'node:fs'; export * from '../mm/index.ts';"],
    ['src/index.ts', "export * from './mm/index.ts'; export * from './base/assert.ts';"],
    ['src/mm/a.test.ts', "import { it } from 'vitest'; import { x } from '../sim/machine.ts';"],
    ['test/a.ts', "import { x } from '../src/mm/deep/b.ts';"],
  ])('%s may: %s', (path, text) => {
    expect(checkImports(fileOf(path, text))).toEqual([]);
  });

  it.each([
    ['src/policy/a.ts', "import { x } from '../mm/index.ts';", /policy\/ may not import mm\/ \(it/],
    ['src/base/a.ts', "export * from '../uapi/errno.ts';", /base\/ may not import uapi/],
    [
      'src/mm/a.ts',
      "import { x } from '../hw/topology.ts';",
      /import \.\.\/hw\/index\.ts, the only/,
    ],
    ['src/mm/a.ts', "import type { X } from '../sim/index.ts';", /may not import sim/],
    ['src/mm/a.ts', "type X = import('../sim/index.ts').X;", /may not import sim/],
    ['src/mm/a.ts', "const x = await import('../sim/index.ts');", /may not import sim/],
    ['src/mm/a.ts', "const w = new URL('../cli/w.js', import.meta.url);", /may not import cli/],
    ['src/mm/a.ts', "import fs from 'node:fs';", /mm\/ is pure and may not import node:fs/],
    ['src/mm/a.ts', "import { z } from 'zod';", /mm\/ may not import the package zod/],
    ['src/runner/a.ts', "import { x } from '../web/index.ts';", /may not import web/],
    ['src/mm/a.ts', "import { x } from '../../test/x.ts';", /outside of src/],
    ['src/newfolder/a.ts', '', /not in the table/],
  ])('%s may not: %s', (path, text, message) => {
    const findings = checkImports(fileOf(path, '', text));
    expect(findings).toHaveLength(1);
    expect(findings[0].message).toMatch(message);
  });

  it('sees every way to name a module', () => {
    const file = fileOf('src/cli/a.ts', "import './a.ts';", "export { b } from './b.ts';");
    expect(importsOf(file).map(({ specifier }) => specifier)).toEqual(['./a.ts', './b.ts']);
  });

  it('keeps policies from everything they could look into', () => {
    const { folders, node } = IMPORT_TABLE.policy;
    expect([folders, node]).toEqual([['base', 'uapi', 'heat'], false]);
  });

  it('has no circle: a folder is never reachable from itself', () => {
    const reach = (from: string, seen: Set<string>): Set<string> => {
      const { folders } = IMPORT_TABLE[from];
      for (const folder of folders === 'any but web' ? [] : folders) {
        if (seen.has(folder)) continue;
        seen.add(folder);
        reach(folder, seen);
      }
      return seen;
    };
    for (const folder of Object.keys(IMPORT_TABLE)) {
      if (folder === 'sim') continue;
      expect(reach(folder, new Set()).has(folder), folder).toBe(false);
    }
  });
});
