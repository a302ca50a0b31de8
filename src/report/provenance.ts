/**
 * Where everything comes from: traces with what recorded them, policies with their knobs, the
 * version, the seeds, the command line. And what must be known to read the numbers: failed runs
 * and the notes of the others.
 */
import { PAGE_SIZE } from '../base/units.ts';
import {
  type Comparison,
  failedRuns,
  failuresByReason,
  formatBytes,
  formatWhole,
  type ProgramRecord,
  runLabel,
  type TraceProvenance,
  type WorkloadRecord,
} from '../experiment/index.ts';
import { type Content, html, type Markup } from './html.ts';

type Fact = readonly [name: string, value: Content];

export function provenance(comparison: Comparison): Markup {
  const { hetmem, seeds, command, workloads, policies } = comparison;
  const withSeeds = `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`;
  const programs = workloads.flatMap((workload): ProgramRecord[] => {
    return workload.programs.length === 0 ? [workload] : [...workload.programs];
  });
  const policyItems = policies.map(({ label, name, params, purpose }) => {
    const what = purpose === '' ? name : purpose;
    return html`<dt>${label}</dt><dd>${what}${knobText(params)}</dd>
`;
  });
  return html`<section id="provenance"><h2>Where it comes from</h2>
<p>Made by hetmem ${hetmem} with ${withSeeds}. The same command gives the same numbers:</p>
<pre><code>${command}</code></pre>
<h3>Workloads</h3>
<div class="facts-grid">${programs.map((program) => programFacts(comparison, program))}</div>
<h3>Policies</h3>
<dl class="policies">${policyItems}</dl>
</section>`;
}

function knobText(params: Readonly<Record<string, string | number | boolean>>): Markup | null {
  const knobs = Object.entries(params).map(([knob, value]) => `${knob} = ${value}`);
  return knobs.length === 0 ? null : html` <code>${knobs.join(', ')}</code>`;
}

function programFacts(comparison: Comparison, program: ProgramRecord): Markup {
  const { name, generator, params, footprintPages, provenance: trace } = program;
  const at = comparison.workloads.indexOf(program as WorkloadRecord);
  const accesses = comparison.runs.find((run) => run.workload === at && run.result !== null);
  const facts: Fact[] = [
    ['touches', formatBytes(footprintPages * PAGE_SIZE)],
    ['accesses', accesses === undefined ? '' : formatWhole(accesses.result!.accesses)],
    ['generator', generator === '' ? '' : html`<code>${generator}</code>${knobText(params)}`],
    ...(trace === null ? [] : traceFacts(trace)),
  ];
  return html`<div class="facts"><h4>${name}</h4><dl>${facts
    .filter(([, value]) => value !== '')
    .map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl></div>`;
}

function traceFacts(trace: TraceProvenance): Fact[] {
  const line = [trace.program, ...trace.args].map(quoted).join(' ');
  return [
    ['program', html`<code>${line}</code>`],
    ['recorded by', `${trace.recorder}${trace.date === '' ? '' : `, ${trace.date}`}`],
    ['on', trace.host],
    ['holds', trace.accessKind],
    ['behind', trace.filter],
    ['file', `${trace.file}, ${formatBytes(trace.sizeBytes)}`],
    ['SHA-256', html`<code class="hash">${trace.sha256}</code>`],
    ['notes', trace.notes.join('; ')],
    ['since then', trace.history.join('; ')],
  ];
}

/** As one would type it. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** Failed runs, each reason once, and warnings, for the top of the report. */
export function failures(comparison: Comparison): Markup {
  const failed = failedRuns(comparison);
  const { warnings, runs } = comparison;
  if (failed.length === 0 && warnings.length === 0) return html``;
  const title = failed.length === 0 ? 'Beware' : `${failed.length} of ${runs.length} runs failed`;
  const items = failuresByReason(comparison).map(
    ({ message, who }) => html`<li>${message}<span class="sub">${who.join(' · ')}</span></li>
`,
  );
  return html`<section class="warning" aria-label="Failed runs and warnings">
<h2>${title}</h2>
<ul>${items}${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></section>`;
}

/** What runs have to say, each text once with the runs that say it. */
export function notes(comparison: Comparison): Markup {
  const said = new Map<string, string[]>();
  for (const run of comparison.runs) {
    for (const note of run.result?.notes ?? []) {
      said.set(note, [...(said.get(note) ?? []), runLabel(comparison, run)]);
    }
  }
  if (said.size === 0) return html``;
  const all = comparison.runs.filter(({ result }) => result !== null).length;
  return html`<section id="notes"><h2>To read the numbers</h2>
<ul>${[...said].map(
    ([note, runs]) => html`<li>${note}<span class="sub">${whoSays(runs, all)}</span></li>
`,
  )}</ul></section>`;
}

function whoSays(runs: readonly string[], all: number): string {
  if (runs.length === all) return 'all runs';
  return runs.length > 3 ? `${runs.length} of ${all} runs` : runs.join('; ');
}
