/**
 * The report: one HTML file with everything in it, drawn from a result file and nothing else.
 *
 * No script and no request: pictures are SVG and one PNG a heat map, so it opens from a disk, a
 * mail or a server with a strict policy, and its own policy forbids the rest. It follows the light
 * or dark setting of the reader, prints, and fits a phone.
 */

import { PAGE_SIZE } from '../base/units.ts';
import {
  type Comparison,
  capacities,
  formatBytes,
  formatWhole,
  type GroupRecord,
  type RunResult,
} from '../experiment/index.ts';
import { slowdownBars } from './bars.ts';
import { glance } from './glance.ts';
import { heatFigure } from './heatFigure.ts';
import { html, type Markup } from './html.ts';
import { machineSection } from './machineDrawing.ts';
import { overTime } from './overTime.ts';
import { renderPage } from './page.ts';
import { failures, notes, provenance } from './provenance.ts';
import { groupTables } from './tables.ts';

/** The whole document as text. The same comparison gives the same text. */
export function renderReport(comparison: Comparison): string {
  const title = comparison.question === '' ? comparison.name : comparison.question;
  return renderPage({
    title,
    version: comparison.hetmem,
    header: html`<p class="eyebrow">hetmem · ${comparison.name}</p>
<h1>${title}</h1>
<p class="verdict">${unbroken(comparison)}</p>`,
    main: html`${failures(comparison)}
${glance(comparison)}
${comparison.workloads.map((_, workload) => workloadSection(comparison, workload))}
${machineSection(comparison.machines)}
${notes(comparison)}
${provenance(comparison)}`,
    footer: html`hetmem ${comparison.hetmem}: an executable model of Linux memory migration.
Modelled times, not measured ones.`,
  });
}

/** The verdict, with names of machines, and numbers with their signs, kept on one line. */
function unbroken({ verdict, machines }: Comparison): string {
  const glued = (label: string) => label.replaceAll(' ', '\u00a0');
  const text = verdict.replace(/(\d) %/g, '$1\u00a0%');
  return machines.reduce((whole, { label }) => whole.replaceAll(label, glued(label)), text);
}

function workloadSection(comparison: Comparison, workload: number): Markup {
  const { name, footprintPages, provenance: trace, programs } = comparison.workloads[workload]!;
  const groups = comparison.groups.filter((group) => group.workload === workload);
  const run = comparison.runs.find((candidate) => {
    return candidate.workload === workload && candidate.result !== null;
  });
  const accesses = run === undefined ? '' : `, ${formatWhole(run.result!.accesses)} accesses`;
  const held = run === undefined ? '' : `, holds ${formatBytes(heldBytes(run.result!))} at most`;
  const touched = formatBytes(footprintPages * PAGE_SIZE);
  const alone =
    programs.length === 0 ? 'synthetic' : `${programs.length} programs at the same time`;
  const program = trace === null ? alone : trace.program.slice(trace.program.lastIndexOf('/') + 1);
  return html`<section class="workload"><h2>${name}</h2>
<p class="muted">${program}, touches ${touched}${held}${accesses}</p>
${groups.map((group) => groupSection(comparison, group))}
</section>`;
}

/** Memory that the program holds at a time can be less than what it ever touches. */
function heldBytes({ nodes }: RunResult): number {
  return nodes.reduce((sum, node) => sum + node.residentPagesMax, 0) * PAGE_SIZE;
}

function groupSection(comparison: Comparison, group: GroupRecord): Markup {
  const { label } = comparison.machines[group.machine]!;
  const sizes = sizesOf(comparison, group);
  return html`<section class="group"><h3>${label} <span class="muted">${sizes}</span></h3>
${slowdownBars(comparison, group)}
${heatFigure(comparison, group)}
${groupTables(comparison, group)}
${overTime(comparison, group)}
</section>`;
}

/** "114 MiB DRAM, 728 MiB CXL": what the nodes of the group had. */
function sizesOf(comparison: Comparison, group: GroupRecord): string {
  const results = group.outcomes.map(({ representative }) => {
    return comparison.runs[representative]?.result ?? null;
  });
  const result = results.find((candidate): candidate is RunResult => candidate !== null);
  return result === undefined ? '' : capacities(result).join(', ');
}
