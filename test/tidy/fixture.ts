/** For tests of the rules: a file or a project made of text. */
import { type Finding, Project, ProjectFile } from './project.ts';

export function fileOf(path: string, ...lines: string[]): ProjectFile {
  return new ProjectFile(path, `${lines.join('\n')}\n`);
}

/** `{ 'src/a.ts': 'text' }` as a project. */
export function projectOf(texts: Readonly<Record<string, string>>, others: string[] = []): Project {
  const files = Object.entries(texts).map(([path, text]) => new ProjectFile(path, text));
  return new Project(files, others);
}

/** The lines that have findings. */
export function linesOf(findings: readonly Finding[]): number[] {
  return findings.map(({ line }) => line);
}
