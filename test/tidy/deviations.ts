/** deviations-are-listed: docs/model/deviations.md is what the comments say today. */
import { DEVIATIONS, deviationsDocument, mayDeviate } from '../../tools/deviations.mjs';
import type { Finding, Project } from './project.ts';

export function checkDeviations(project: Project): Finding[] {
  const sources = project.files.filter(({ path }) => mayDeviate(path));
  const expected = deviationsDocument(new Map(sources.map(({ path, text }) => [path, text])));
  const document = project.find(DEVIATIONS);
  if (document?.text === expected) return [];
  const lines = expected.split('\n');
  const differs = lines.findIndex((line, i) => line !== document?.lines[i]);
  const message = 'is not what the comments of the sources say: run npm run deviations';
  return [{ path: DEVIATIONS, line: Math.max(differs, 0) + 1, message }];
}
