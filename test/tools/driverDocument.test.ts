/** The program of docs/drivers.md runs as it stands, and prints what the page says. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

it('D14: a driver with hetmem as a library (needs a build)', () => {
  const text = readFileSync(join(root, 'docs/drivers.md'), 'utf8');
  const program = /```js\n(.*?)```/s.exec(text)![1];
  const printed = /It prints\n\n```\n(.*?)```/s.exec(text)![1];
  const args = ['--input-type=module', '-e', program];
  expect(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })).toBe(printed);
});
