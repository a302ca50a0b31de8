/** docs/conformance.md: its tables are those of the code, and the case that it shows passes. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LOOK_FORMS, type StepForm, VERB_FORMS } from '../../src/conform/caseFormat.ts';
import { type CaseMachines, parseCases, runCase } from '../../src/conform/index.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const text = readFileSync(join(folder, '../../docs/conformance.md'), 'utf8');

function rowsOf(forms: ReadonlyMap<string, StepForm>): string[] {
  return [...forms].map(([name, { inputs, outputs }]) => {
    const fields = [...inputs].map(([field, isRequired]) => (isRequired ? field : `${field}?`));
    const answers = [...outputs].filter((field) => field !== '');
    return `| \`${name}\` | ${fields.join(' ')} | ${answers.join(' ')} |`;
  });
}

function rowsUnder(title: string): string[] {
  const section = text.split(`\n## ${title}\n`)[1].split('\n## ')[0];
  return section.split('\n').filter((line) => line.startsWith('| `'));
}

describe('docs/conformance.md', () => {
  it('lists every verb and look with its fields', () => {
    expect(rowsUnder('Verbs')).toEqual(rowsOf(VERB_FORMS));
    expect(rowsUnder('Looks')).toEqual(rowsOf(LOOK_FORMS));
  });

  it('shows a case that passes', () => {
    const shown = text.split('```json\n')[1].split('```')[0];
    const line = JSON.stringify(JSON.parse(shown));
    const machines = readFileSync(join(folder, 'machines.json'), 'utf8');
    const result = runCase(parseCases(line, 'doc')[0], JSON.parse(machines) as CaseMachines);
    expect(result).toMatchObject({ status: 'passed', error: null });
  });
});
