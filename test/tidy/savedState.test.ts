import { describe, expect, it } from 'vitest';
import { projectOf } from './fixture.ts';
import { checkSavedState } from './savedState.ts';

const TABLE = `export const KERNEL_CLASSES = [savedClass(Zone, 'id #free', null, 'hook')];
export const SHORT_LIVED = ['Walk'];
`;

function findings(source: string): string[] {
  const project = projectOf({ 'src/state/classes.ts': TABLE, 'src/mm/zone.ts': source });
  return checkSavedState(project).map(({ line, message }) => `${line} ${message.split(':')[0]}`);
}

describe('saved-whole', () => {
  it('accepts a class whose fields are all named, and a short-lived one', () => {
    expect(findings('class Zone { id; #free; hook; static x = 1; }\nclass Walk { at; }')).toEqual(
      [],
    );
  });

  it('finds a field that is not named, private or public', () => {
    const source = 'class Zone {\n  id;\n  span;\n  #free;\n  #more;\n}';
    expect(findings(source)).toEqual([
      '3 Zone.span is in no saved state',
      '5 Zone.#more is in no saved state',
    ]);
  });

  it('finds a class that is not named', () => {
    expect(findings('class Zone { id; }\nclass Tier {}')).toEqual([
      '2 class Tier is in no saved state',
    ]);
  });
});
