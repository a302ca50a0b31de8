import { describe, expect, it } from 'vitest';
import { fileOf, linesOf, projectOf } from './fixture.ts';
import { checkFolderReadmes, checkLinks, checkTitle } from './markdown.ts';

describe('one-title', () => {
  it.each([
    [['# One', 'text', '## Part'], []],
    [['text'], [1]],
    [['# One', '', '# Two'], [3]],
    [['# One', '```sh', '# a comment', '```'], []],
  ])('%j has findings in lines %j', (lines, expected) => {
    expect(linesOf(checkTitle(fileOf('a.md', ...lines)))).toEqual(expected);
  });
});

describe('links-lead-somewhere', () => {
  const found = (text: string) => {
    const others = {
      'docs/b.md': '# The `B` file: notes\n',
      'docs/a.md': `# A\n${text}\n`,
      'src/mm/x.ts': '',
    };
    return checkLinks(projectOf(others, ['docs/shot.png'])).map(({ message }) => message);
  };

  it.each([
    '[b](b.md)',
    '[b](b.md#the-b-file-notes)',
    '[self](#a)',
    '[folder](../src/mm/)',
    '![picture](shot.png "title")',
    '[web](https://example.org/x.md) [mail](mailto:a@example.org)',
    '`[code](nowhere.md)`',
    '```\n[code](nowhere.md)\n```',
    '[b]: b.md',
  ])('leaves %s alone', (text) => {
    expect(found(text)).toEqual([]);
  });

  it.each([
    ['[b](c.md)', 'link to c.md, which does not exist'],
    ['[b](../../x.md)', 'link to ../../x.md, outside of the project'],
    ['[b](b.md#none)', 'link to b.md#none: no such heading in docs/b.md'],
    ['[b]: c.md', 'link to c.md, which does not exist'],
  ])('finds %s', (text, message) => {
    expect(found(text)).toEqual([message]);
  });
});

describe('folders-are-explained', () => {
  it('finds folders of src/ without README, and README of more than a screen', () => {
    const project = projectOf({
      'src/index.ts': '',
      'src/mm/a.ts': '',
      'src/hw/a.ts': '',
      'src/hw/README.md': 'x\n'.repeat(81),
      'src/sim/deep/a.ts': '',
      'src/sim/README.md': 'x\n'.repeat(80),
    });
    expect(checkFolderReadmes(project).map(({ path }) => path)).toEqual([
      'src/mm/README.md',
      'src/hw/README.md',
    ]);
  });
});
