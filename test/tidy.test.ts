/**
 * The house rules, run over the whole project. STYLE.md names them and gives the reasons; each is a
 * function in test/tidy/ with tests of its own. Findings are `path:line: what is wrong: remedy`.
 */
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/cli/packageRoot.ts';
import { checkCalls } from './tidy/calls.ts';
import { checkColumnWrites } from './tidy/columns.ts';
import { checkDeadCode, checkHeader, checkUnfinished } from './tidy/comments.ts';
import { checkDeadFiles } from './tidy/deadFiles.ts';
import { withoutDebts } from './tidy/debts.ts';
import { checkDeviations } from './tidy/deviations.ts';
import { checkImports } from './tidy/imports.ts';
import { checkFolderReadmes, checkLinks, checkTitle } from './tidy/markdown.ts';
import { checkNames } from './tidy/names.ts';
import { checkPackages } from './tidy/packages.ts';
import { type FileRule, formatFindings, type ProjectRule, readProject } from './tidy/project.ts';
import { checkSavedState } from './tidy/savedState.ts';
import { checkFileLength, checkFunctionLength, checkLineLength } from './tidy/sizes.ts';
import { checkSkips } from './tidy/skips.ts';
import { checkTexts } from './tidy/texts.ts';
import { checkVersions } from './tidy/versions.ts';

const project = readProject(packageRoot());

function everyFile(rule: FileRule): ProjectRule {
  return ({ files }) => files.flatMap(rule);
}

const RULES: Readonly<Record<string, ProjectRule>> = {
  'map-of-imports': everyFile(checkImports),
  'file-length': everyFile(checkFileLength),
  'function-length': everyFile(checkFunctionLength),
  'line-length': everyFile(checkLineLength),
  'say-what-it-is': everyFile(checkNames),
  'no-hidden-inputs': everyFile(checkCalls),
  'one-table-of-versions': everyFile(checkVersions),
  'one-writer': checkColumnWrites,
  'saved-whole': checkSavedState,
  'explain-at-the-top': everyFile(checkHeader),
  'finish-it': everyFile(checkUnfinished),
  'no-dead-code': everyFile(checkDeadCode),
  'no-dead-files': checkDeadFiles,
  'one-title': everyFile(checkTitle),
  'links-lead-somewhere': checkLinks,
  'folders-are-explained': checkFolderReadmes,
  'for-the-reader': everyFile(checkTexts),
  'say-what-is-skipped': everyFile(checkSkips),
  'pinned-and-used': checkPackages,
  'deviations-are-listed': checkDeviations,
};

describe('house rules', () => {
  it('see the project', () => {
    expect(project.find('src/cli/main.ts')?.folder).toBe('cli');
    expect(project.find('test/tidy.test.ts')?.isTest).toBe(true);
  });

  it.each(Object.entries(RULES))('%s', (name, rule) => {
    expect(formatFindings(withoutDebts(name, rule(project)))).toBe('');
  });
});
