/**
 * one-table-of-versions: sources do not compare versions of Linux; they ask `k.profile`, whose one
 * table (src/hw/kernelProfile.ts) says which version does what, and why.
 */
import ts from 'typescript';
import type { Finding, ProjectFile } from './project.ts';

const TABLE = 'src/hw/kernelProfile.ts';
const VERSION = /^(6\.1|6\.12|7\.2|7\.3)$/;

export function checkVersions(file: ProjectFile): Finding[] {
  if (!file.isScript || file.isTest || file.folder === null || file.path === TABLE) return [];
  const findings: Finding[] = [];
  file.eachNode((node) => {
    if (ts.isStringLiteral(node) && VERSION.test(node.text)) {
      const problem = `a version of Linux, "${node.text}": name the behaviour in ${TABLE}`;
      findings.push(file.findingAt(node, problem));
    }
  });
  return findings;
}
