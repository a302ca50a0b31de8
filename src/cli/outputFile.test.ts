import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutputFile, writeOutputFile } from './outputFile.ts';

let folder = '';
const inFolder = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-output-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('OutputFile', () => {
  it('shows nothing under its name until it is committed, and then everything', () => {
    const file = new OutputFile(inFolder('a'), { force: false });
    file.write('one ');
    file.write(new Uint8Array([116, 119, 111]));
    expect(existsSync(inFolder('a'))).toBe(false);
    file.commit();
    expect(readFileSync(inFolder('a'), 'utf8')).toBe('one two');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('leaves nothing behind when discarded, and does not discard what was committed', () => {
    new OutputFile(inFolder('a'), { force: false }).discard();
    expect(readdirSync(folder)).toEqual([]);
    const file = new OutputFile(inFolder('a'), { force: false });
    file.commit();
    file.discard();
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('refuses to replace a file, at the start and when it appeared meanwhile', () => {
    const file = new OutputFile(inFolder('a'), { force: false });
    writeFileSync(inFolder('a'), 'mine');
    const refused = /exists already \(give another name, or --force/;
    expect(() => new OutputFile(inFolder('a'), { force: false })).toThrow(refused);
    expect(() => file.commit()).toThrow(refused);
    expect(readFileSync(inFolder('a'), 'utf8')).toBe('mine');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('replaces a file with force, keeping its permissions', () => {
    writeFileSync(inFolder('a'), 'old');
    chmodSync(inFolder('a'), 0o640);
    writeOutputFile(inFolder('a'), 'new', { force: true });
    expect(readFileSync(inFolder('a'), 'utf8')).toBe('new');
    expect(statSync(inFolder('a')).mode & 0o777).toBe(0o640);
  });

  it('replaces what a symbolic link points to, not the link', () => {
    mkdirSync(inFolder('deep'));
    writeFileSync(inFolder('deep/a'), 'old');
    symlinkSync('deep/a', inFolder('link'));
    writeOutputFile(inFolder('link'), 'new', { force: true });
    expect(readlinkSync(inFolder('link'))).toBe('deep/a');
    expect(readFileSync(inFolder('deep/a'), 'utf8')).toBe('new');
  });

  it.each([
    ['a folder', () => folder, /is a folder \(name a file in it\)/],
    ['a missing folder', () => inFolder('no/a'), /its folder does not exist \(create/],
    ['a file as folder', () => inFolder('file/a'), /its folder is a file/],
    ['too long a name', () => inFolder('x'.repeat(300)), /the name is too long/],
  ])('says what is wrong with %s', (_, path, message) => {
    writeFileSync(inFolder('file'), '');
    expect(() => new OutputFile(path(), { force: true })).toThrow(message);
  });

  it('writes to a device directly and reports a full disk as the user’s problem', () => {
    writeOutputFile('/dev/null', 'x', { force: false });
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    const file = new OutputFile('/dev/full', { force: false });
    expect(() => file.write('x')).toThrow('/dev/full: no space left on the disk (free some');
    expect(file.fd).toBe(-1);
    expect(statSync('/dev/full').isCharacterDevice()).toBe(true);
  });
});
