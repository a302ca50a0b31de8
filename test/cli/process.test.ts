/**
 * The command line as a process: exit codes, streams, signals. Runs dist/, which `npm test` has
 * just built; `npx vitest` alone may see an older one.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packageRoot, packageVersion } from '../../src/cli/packageRoot.ts';
import { BIN, ENV, hetmem } from './hetmem.ts';

const DIST = pathToFileURL(join(packageRoot(), 'dist/cli/')).href;

describe('bin/hetmem', () => {
  it('prints help and version on stdout', () => {
    expect(hetmem('--version')).toEqual({ code: 0, out: `${packageVersion()}\n`, err: '' });
    const help = hetmem('--help');
    expect(help.code).toBe(0);
    expect(help.out).toContain('Usage: hetmem COMMAND');
    expect(help.err).toBe('');
  });

  it('plan zones: its own options, also those that plan has; blocks as x86-64 has them', () => {
    const sizes = ['--pinned', '64MiB', '--unmovable', '64MiB'];
    const plan = (...more: string[]) => hetmem('plan', 'zones', ...sizes, ...more);
    const small = JSON.parse(plan('--memory', '512MiB', '--seed', '7', '--json').out);
    expect(small.asked).toMatchObject({ memoryMib: 512, blockMib: 128, seed: 7 });
    expect(plan('--memory', '64TiB').err).toContain('--block 2048MiB: is too fine');
    expect(plan('--memory', '512MiB', '--seed', 'x').err).toContain('--seed x: is not a whole');
  });

  it('exits with 2 and writes only to stderr when the usage is wrong', () => {
    const done = hetmem('--nosuch');
    expect(done).toMatchObject({ code: 2, out: '' });
    expect(done.err).toContain("hetmem: unknown option '--nosuch'");
  });

  it('is quiet when the reader of its output has gone', () => {
    const script = `(sleep 0.2; "$1" "$2" --help) | true; echo "\${PIPESTATUS[0]}"`;
    const args = ['-c', script, 'bash', process.execPath, BIN];
    const done = spawnSync('bash', args, { encoding: 'utf8', env: ENV });
    expect([done.stdout, done.stderr]).toEqual(['141\n', '']);
  });
});

describe('a signal', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hetmem-signal-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Runs `script` as a module, signals it at each line it prints, and waits for its end. */
  function signalled(script: string, signal: NodeJS.Signals): Promise<unknown> {
    const preamble = `import { OutputFile } from '${DIST}outputFile.js';
      import { onInterrupt } from '${DIST}interrupt.js';
      const say = (text) => process.stdout.write(text + '\\n');
      const stay = setInterval(() => {}, 1000);`;
    const args = ['--input-type=module', '-e', `${preamble}${script}`];
    const child = spawn(process.execPath, args, { cwd: folder, env: ENV });
    child.stdout.on('data', () => child.kill(signal));
    return new Promise((resolve) => child.on('exit', (code, by) => resolve(code ?? by)));
  }

  const OPEN = "const file = new OutputFile('result', { force: false }); file.write('half');";

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s removes half-written files and exits with %i', async (signal, code) => {
    expect(await signalled(`${OPEN} say('ready');`, signal)).toBe(code);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('ends a process that has nothing to undo at once, even in a busy loop', async () => {
    const script = `${OPEN} file.commit(); say('ready'); clearInterval(stay); for (;;) {}`;
    expect(await signalled(script, 'SIGINT')).toBe('SIGINT');
    expect(readdirSync(folder)).toEqual(['result']);
  });

  it('lets a command end gracefully at the first, and ends it at the second', async () => {
    const end = '() => { file.commit(); process.exit(7); }';
    const graceful = `${OPEN} onInterrupt(${end}); say('ready');`;
    expect(await signalled(graceful, 'SIGINT')).toBe(7);
    expect(readdirSync(folder)).toEqual(['result']);
    rmSync(join(folder, 'result'));
    const stubborn = `${OPEN} onInterrupt(() => say('again')); say('ready');`;
    expect(await signalled(stubborn, 'SIGINT')).toBe(130);
    expect(readdirSync(folder)).toEqual([]);
  });
});
