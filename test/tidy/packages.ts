/** pinned-and-used: dependencies have exact versions and somebody imports them. */
import { importsOf } from './imports.ts';
import type { Finding, Project } from './project.ts';

export function checkPackages(project: Project): Finding[] {
  const manifest = project.find('package.json');
  if (manifest === null) return [];
  const { dependencies = {}, devDependencies = {} } = JSON.parse(manifest.text);
  const lineOf = (name: string) =>
    manifest.lines.findIndex((line) => line.includes(`"${name}"`)) + 1;
  const findings: Finding[] = [];
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    if (/^(npm:[^@]+@)?\d+\.\d+\.\d+[\w.-]*$/.test(String(version))) continue;
    findings.push(manifest.finding(lineOf(name), `${name}: pin the exact version`));
  }
  const used = packagesUsed(project);
  for (const name of Object.keys(dependencies)) {
    if (used.has(name)) continue;
    findings.push(manifest.finding(lineOf(name), `${name} is not imported by src/: remove it`));
  }
  return findings;
}

function packagesUsed(project: Project): Set<string> {
  const used = new Set<string>();
  for (const file of project.files) {
    if (file.folder === null || !file.isScript || file.isTest) continue;
    for (const { specifier } of importsOf(file)) {
      used.add(specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  return used;
}
