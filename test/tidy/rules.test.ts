/** What each rule finds, and what it leaves alone. */
import { describe, expect, it } from 'vitest';
import { checkCalls } from './calls.ts';
import { checkColumnWrites } from './columns.ts';
import { checkDeadCode, checkHeader, checkUnfinished } from './comments.ts';
import { checkDeadFiles } from './deadFiles.ts';
import { withoutDebts } from './debts.ts';
import { fileOf, linesOf, projectOf } from './fixture.ts';
import { checkNames, wordsOf } from './names.ts';
import { checkPackages } from './packages.ts';
import { formatFindings } from './project.ts';
import { checkFileLength, checkFunctionLength, checkLineLength } from './sizes.ts';
import { checkSkips } from './skips.ts';
import { checkTexts } from './texts.ts';
import { checkVersions } from './versions.ts';

const repeated = (line: string, nr: number) => Array.from({ length: nr }, () => line);

describe('sizes', () => {
  it('allow 500 lines a file', () => {
    expect(checkFileLength(fileOf('src/mm/a.ts', ...repeated('x;', 500)))).toEqual([]);
    expect(linesOf(checkFileLength(fileOf('src/mm/a.ts', ...repeated('x;', 501))))).toEqual([501]);
  });

  it('allow 100 columns a line, and more for an address', () => {
    const file = fileOf('a.c', 'x'.repeat(100), 'x'.repeat(101), `// https://${'x'.repeat(101)}`);
    expect(linesOf(checkLineLength(file))).toEqual([2]);
    expect(checkLineLength(fileOf('a.md', 'x'.repeat(101)))).toEqual([]);
  });

  it('allow 70 lines a function of any kind, and more for a group of tests', () => {
    const long = (head: string, end: string, nr: number) => [head, ...repeated('x;', nr - 2), end];
    const lengths = (nr: number) =>
      fileOf(
        'src/mm/a.test.ts',
        ...long('function a() {', '}', nr),
        ...long('const b = () => {', '};', nr),
        ...long('class C { #d() {', '} }', nr),
        ...long("describe.each([1])('x', () => {", '});', nr),
      );
    expect(checkFunctionLength(lengths(70))).toEqual([]);
    expect(linesOf(checkFunctionLength(lengths(71)))).toEqual([1, 72, 143]);
  });
});

describe('say-what-it-is', () => {
  it.each([
    'class PageManager {}',
    'function pageHelper() {}',
    'const utils = 1;',
    'type PageData = 1;',
    'class A { #pageInfo = 1; }',
    'function f(nodeInfo: number) {}',
    'const specV2 = 1;',
    'interface IPage {}',
  ])('finds %s', (text) => {
    expect(linesOf(checkNames(fileOf('src/mm/a.ts', text)))).toEqual([1]);
  });

  it.each([
    'const data = 1;',
    'const CHUNK_DATA = 1;',
    'function meminfo() {}',
    'interface Item {}',
    'const isManaged = 1;',
    'pageData(x.dataInfo);',
  ])('leaves %s alone', (text) => {
    expect(checkNames(fileOf('src/mm/a.ts', text))).toEqual([]);
  });

  it('looks at file names', () => {
    expect(checkNames(fileOf('src/mm/pageUtils.test.ts'))).toHaveLength(1);
    expect(checkNames(fileOf('src/mm/PageTable.ts'))).toHaveLength(1);
    expect(checkNames(fileOf('src/mm/pageTable.test.ts'))).toEqual([]);
  });

  it('splits names as people read them', () => {
    expect(wordsOf('nrPTEsMax')).toEqual(['nr', 'pt', 'es', 'max']);
    expect(wordsOf('PG_ACTIVE')).toEqual(['pg', 'active']);
    expect(wordsOf('utilisation')).toEqual(['utilisation']);
  });
});

describe('no-hidden-inputs', () => {
  it.each([
    ['engine', 'Date.now();'],
    ['trace', 'new Date();'],
    ['workload', 'Math.random();'],
    ['sim', 'performance.now();'],
    ['mm', "console.log('x');"],
    ['experiment', 'process.exit();'],
    ['mm', 'Math.log(x);'],
    ['hw', 'x ** 2;'],
    ['hw', 'let y = 2; y **= 3;'],
    ['policy', 'a.localeCompare(b);'],
  ])('finds in %s: %s', (folder, text) => {
    expect(linesOf(checkCalls(fileOf(`src/${folder}/a.ts`, text)))).toEqual([1]);
  });

  it.each([
    ['src/cli/a.ts', 'Date.now(); console.log(process.pid);'],
    ['src/mm/a.test.ts', 'Date.now();'],
    ['src/experiment/a.ts', 'Math.log(x);'],
    ['src/mm/a.ts', 'Math.sqrt(x); const MAX = 2 ** 31;'],
    ['src/mm/a.ts', 'function f(process: Task) { return process.pid; }'],
  ])('leaves alone in %s: %s', (path, text) => {
    expect(checkCalls(fileOf(path, text))).toEqual([]);
  });
});

describe('one-writer', () => {
  const owner = 'class FrameTable { readonly flags: Uint32Array; }';

  it.each([
    'frames.flags[1] = 2;',
    'this.frames.flags[1] |= 2;',
    'frames.flags[1]++;',
    'frames.flags.fill(0);',
  ])('finds %s outside of the owning folder only', (text) => {
    const project = projectOf({
      'src/mm/frameTable.ts': owner,
      'src/mm/a.ts': text,
      'src/sim/a.ts': text,
      'src/sim/a.test.ts': text,
    });
    expect(formatFindings(checkColumnWrites(project))).toMatch(
      /^src\/sim\/a\.ts:1: writes column flags of mm\/: call a method of its owner$/,
    );
  });

  it.each(['x = frames.flags[1];', 'flags[1] = 2;', 'frames.other[1] = 2;'])(
    'leaves %s alone',
    (text) => {
      const project = projectOf({ 'src/mm/frameTable.ts': owner, 'src/sim/a.ts': text });
      expect(checkColumnWrites(project)).toEqual([]);
    },
  );
});

describe('comments', () => {
  it('open a source: one line to twenty', () => {
    const block = (nr: number) => ['/**', ...repeated(' * x', nr - 2), ' */', 'x;'];
    expect(checkHeader(fileOf('src/a.ts', ...block(20)))).toEqual([]);
    expect(checkHeader(fileOf('src/a.ts', '// one', '// two', 'x;'))).toEqual([]);
    expect(checkHeader(fileOf('bin/a.mjs', '#!/usr/bin/env node', '// one', 'x;'))).toEqual([]);
    expect(checkHeader(fileOf('src/a.ts', ...block(21)))).toHaveLength(1);
    expect(checkHeader(fileOf('src/a.ts', 'x;', '// late'))).toHaveLength(1);
    expect(checkHeader(fileOf('src/a.test.ts', 'x;'))).toEqual([]);
  });

  it('hold no notes of what is missing', () => {
    const words = ['TO' + 'DO: x', 'FIX' + 'ME', ['not', 'implemented'].join(' '), 'todo list'];
    const file = fileOf('src/a.ts', ...words.map((word) => `// ${word}`));
    expect(linesOf(checkUnfinished(file))).toEqual([1, 2, 3]);
  });

  it.each([
    ['// const x = frames.flagsOf(pfn);'],
    ['// if (x) {', '//   y();', '// }'],
    ['// Why the next line is off:', '// frames.free(pfn);'],
  ])('hold no code: %s', (...lines) => {
    expect(linesOf(checkDeadCode(fileOf('src/a.ts', ...lines, 'x;')))).toEqual([1]);
  });

  it.each([
    ['// for all pages (see OV-3);'],
    ['// return to the caller: the page is locked.'],
    ['// Order: unmap, flush, copy; then remap (MC-3).'],
    ['// if the folio is large, its tails follow'],
    ['// biome-ignore lint/x: because (y);'],
  ])('may hold prose: %s', (line) => {
    expect(checkDeadCode(fileOf('src/a.ts', line, 'x;'))).toEqual([]);
  });
});

describe('no-dead-files', () => {
  it('finds what only its own test imports', () => {
    const project = projectOf({
      'src/index.ts': "export * from './mm/index.ts';",
      'src/mm/index.ts': "export * from './used.ts';",
      'src/mm/used.ts': "const w = new URL('./worker.js', import.meta.url);",
      'src/mm/worker.ts': '',
      'src/mm/dead.ts': '',
      'src/mm/dead.test.ts': "import './dead.ts';",
      'src/mm/invariants.ts': '',
      'test/fuzz/mm.fuzz.ts': "import '../../src/mm/invariants.ts';",
      'src/policy/skeleton.ts': '',
      'src/cli/main.ts': '',
      'bin/hetmem': "await import('../dist/cli/main.js');",
      'tools/named.mjs': '',
      'tools/unnamed.mjs': '',
      'package.json': '{ "scripts": { "x": "node tools/named.mjs" } }',
    });
    expect(checkDeadFiles(project).map(({ path }) => path)).toEqual([
      'src/mm/dead.ts',
      'tools/unnamed.mjs',
    ]);
  });
});

describe('for-the-reader', () => {
  it('finds words and paths of the place where it was written', () => {
    const word = ['sess', 'ions'].join('');
    const lines = [
      `live ${word}`,
      `see "${['', 'home', 'me'].join('/')}"`,
      'obsession',
      '/usr/bin/gcc',
      '../work/x',
    ];
    expect(linesOf(checkTexts(fileOf('a.md', ...lines)))).toEqual([1, 2]);
  });
});

describe('say-what-is-skipped', () => {
  it.each([
    "it.only('x', () => {});",
    "describe.only('x', () => {});",
    "it.skip('x', () => {});",
    "it.skipIf(!hasGcc)('records', () => {});",
    "it.todo('x');",
    'it("x", (context) => { context.skip(); });',
  ])('finds %s', (text) => {
    expect(linesOf(checkSkips(fileOf('test/a.test.ts', text)))).toEqual([1]);
  });

  it.each([
    "it.skipIf(!hasGcc)('records (needs gcc)', () => {});",
    "it.skipIf(!hasGcc).each([1])('records %i (needs gcc)', () => {});",
    "it.skip('x (skipped: Linux 6.1 only)', () => {});",
    'it("x", (context) => { context.skip("no gcc"); });',
    'reader.skip(); list.only;',
  ])('leaves %s alone', (text) => {
    expect(checkSkips(fileOf('test/a.test.ts', text))).toEqual([]);
  });
});

describe('pinned-and-used', () => {
  it('finds ranges and packages that nobody imports', () => {
    const manifest = {
      dependencies: { yaml: '2.9.1', zod: '^4.0.0', piscina: '5.3.2' },
      devDependencies: { native: 'npm:typescript@7.0.2', vitest: 'latest' },
    };
    const project = projectOf({
      'package.json': JSON.stringify(manifest, null, 1),
      'src/hw/a.ts': "import { parse } from 'yaml'; import { z } from 'zod/v4';",
      'src/hw/a.test.ts': "import 'piscina';",
    });
    expect(checkPackages(project).map(({ line, message }) => `${line} ${message}`)).toEqual([
      '4 zod: pin the exact version',
      '9 vitest: pin the exact version',
      '5 piscina is not imported by src/: remove it',
    ]);
  });
});

describe('debts', () => {
  const debt = { rule: 'r', path: 'a.ts', about: 'long', owner: 'mm', reason: 'x' };

  it('cover their own finding only', () => {
    const covered = { path: 'a.ts', line: 1, message: 'too long' };
    const others = [
      { path: 'b.ts', line: 1, message: 'too long' },
      { path: 'a.ts', line: 2, message: 'other' },
    ];
    expect(withoutDebts('r', [covered, ...others], [debt])).toEqual(others);
  });

  it('must go when they are paid', () => {
    expect(formatFindings(withoutDebts('r', [], [debt]))).toContain('the debt of a.ts (r) is paid');
    expect(withoutDebts('other', [], [debt])).toEqual([]);
  });
});

describe('one-table-of-versions', () => {
  it('finds versions in sources, not in tests, texts or the table', () => {
    const text = "if (k.spec.kernel === '6.1') x();";
    expect(linesOf(checkVersions(fileOf('src/mm/a.ts', text)))).toEqual([1]);
    expect(checkVersions(fileOf('src/mm/a.test.ts', text))).toEqual([]);
    expect(checkVersions(fileOf('src/hw/kernelProfile.ts', text))).toEqual([]);
    expect(checkVersions(fileOf('src/mm/a.ts', '// since 6.1', "f('since 6.1');"))).toEqual([]);
  });
});
