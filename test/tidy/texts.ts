/**
 * for-the-reader: texts are about hetmem and its subject, for people who have nothing but this
 * repository. How and where it was written is no part of it.
 */
import type { Finding, ProjectFile } from './project.ts';

/** Joined, so that the rule does not find itself. */
const WORDS = [['sess', 'ion'].join(''), ['ag', 'ent'].join(''), ['work', 'place'].join('')];
const BANNED = new RegExp(`\\b(${WORDS.join('|')})s?\\b`, 'i');
const MACHINE_PATH = /(?:^|[\s"'`(=:])(\/(?:work|root|home|Users)\/[\w.-]+)/;

export function checkTexts(file: ProjectFile): Finding[] {
  return file.lines.flatMap((line, i) => {
    const word = BANNED.exec(line)?.[0];
    if (word !== undefined) {
      return [file.finding(i + 1, `"${word}" is no word of this project: say what is meant`)];
    }
    const path = MACHINE_PATH.exec(line)?.[1];
    if (path === undefined) return [];
    return [
      file.finding(i + 1, `${path} is a path of one machine: name it from the project's root`),
    ];
  });
}
