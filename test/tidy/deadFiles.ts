/** no-dead-files: every source is reached from somewhere else than its own test. */
import { importsOf, targetOf } from './imports.ts';
import type { Finding, Project, ProjectFile } from './project.ts';

export function checkDeadFiles(project: Project): Finding[] {
  const scripts = project.files.filter((file) => file.isScript || /^bin\//.test(file.path));
  const reached = new Set<string>();
  for (const file of scripts) {
    for (const { specifier } of importsOf(file)) {
      const target = targetOf(file, specifier);
      if (target !== null && !isOwnTest(file.path, target)) reached.add(target);
      // bin/ runs what is compiled.
      if (target?.startsWith('dist/')) reached.add(target.replace(/^dist\//, 'src/'));
    }
  }
  return scripts
    .filter((file) => !reached.has(file.path) && !isEntry(file) && !isMentioned(project, file))
    .map((file) => file.finding(1, 'nobody imports this file: use it or delete it'));
}

function isOwnTest(path: string, target: string): boolean {
  return path.replace(/\.(test|slow|fuzz)\.ts$/, '.ts') === target && path !== target;
}

/** Doors, tests, files to copy, benches (found by their folder) and configurations. */
function isEntry(file: ProjectFile): boolean {
  if (/\.(test|slow|fuzz)\.ts$/.test(file.name) || file.name.endsWith('.d.ts')) return true;
  if (file.name === 'skeleton.ts' || /^bin\/[^.]+$/.test(file.path)) return true;
  if (/^src\/([^/]+\/)?index\.ts$/.test(file.path)) return true;
  return /^bench\/[^/]+\.ts$/.test(file.path) || /^[^/]+\.config\.ts$/.test(file.path);
}

/** Tools are run by name: from a script of package.json, another tool, CI, or by hand. */
function isMentioned(project: Project, file: ProjectFile): boolean {
  if (!file.path.startsWith('tools/')) return false;
  const callers = ['package.json', '.ci/run', 'HACKING.md', 'traces/README.md'];
  const tools = project.files.filter(({ path }) => path.startsWith('tools/') && path !== file.path);
  return [...callers.map((path) => project.find(path)), ...tools].some((caller) =>
    caller?.text.includes(file.path),
  );
}
