/** Documents have one title, their links lead somewhere, and every folder of src/ is explained. */
import { dirname, posix } from 'node:path';
import type { Finding, Project, ProjectFile } from './project.ts';

export const README_LINES_MAX = 80;

export function checkTitle(file: ProjectFile): Finding[] {
  if (!file.path.endsWith('.md')) return [];
  const titles = proseLines(file).filter(({ text }) => /^# /.test(text));
  if (titles.length === 1) return [];
  const line = titles[1]?.line ?? 1;
  return [file.finding(line, `${titles.length} titles (# …), a document has exactly one`)];
}

export function checkLinks(project: Project): Finding[] {
  return project.files
    .filter((file) => file.path.endsWith('.md'))
    .flatMap((file) =>
      proseLines(file).flatMap(({ text, line }) =>
        linksIn(text).flatMap((link) => {
          const problem = problemOf(project, file, link);
          return problem === null ? [] : [file.finding(line, problem)];
        }),
      ),
    );
}

/** A folder of src/ with code has a README.md of about one screen. */
export function checkFolderReadmes(project: Project): Finding[] {
  const folders = new Set<string>();
  for (const file of project.files) {
    if (file.folder && file.isScript) folders.add(file.folder);
  }
  return [...folders].flatMap((folder) => {
    const path = `src/${folder}/README.md`;
    const readme = project.find(path);
    if (readme === null) {
      const remedy = 'say what real thing it is, its files in reading order, its rules';
      return [{ path, line: 1, message: `missing: ${remedy}` }];
    }
    const nr = readme.lines.length - 1;
    if (nr <= README_LINES_MAX) return [];
    const message = `${nr} lines, at most ${README_LINES_MAX}: move details to docs/model/`;
    return [readme.finding(nr, message)];
  });
}

/** Lines outside of fenced code; code spans are emptied. */
function proseLines(file: ProjectFile): { text: string; line: number }[] {
  let fence: string | null = null;
  return file.lines.flatMap((line, i) => {
    const mark = /^\s*(```+|~~~+)/.exec(line)?.[1] ?? null;
    if (mark !== null && (fence === null || mark.startsWith(fence))) {
      fence = fence === null ? mark : null;
      return [];
    }
    return fence === null ? [{ text: line.replace(/`[^`]*`/g, '``'), line: i + 1 }] : [];
  });
}

function linksIn(text: string): string[] {
  const inline = [...text.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)].map(
    (match) => match[1],
  );
  const reference = /^\s*\[[^\]]+\]:\s+(\S+)/.exec(text)?.[1];
  return reference === undefined ? inline : [...inline, reference];
}

function problemOf(project: Project, file: ProjectFile, link: string): string | null {
  if (/^[a-z]+:/.test(link)) return null;
  const [path, anchor] = link.split('#');
  const target = path === '' ? file.path : posix.join(dirname(file.path), decodeURI(path));
  const clean = target.replace(/\/$/, '');
  if (clean.startsWith('..')) return `link to ${link}, outside of the project`;
  if (clean !== '.' && !project.exists(clean)) return `link to ${link}, which does not exist`;
  const document = project.find(clean);
  if (anchor === undefined || document === null || !clean.endsWith('.md')) return null;
  const headings = proseLines(document).flatMap(({ text, line }) =>
    /^#{1,6} /.test(text) ? [slugOf(document.lines[line - 1])] : [],
  );
  return headings.includes(anchor) ? null : `link to ${link}: no such heading in ${clean}`;
}

/** The anchor that GitHub gives a heading. */
function slugOf(heading: string): string {
  return heading
    .replace(/^#+\s+/, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
}
