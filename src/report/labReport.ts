/** Results of labs as one HTML file: question, verdict, pictures, numbers, who argues what. */
import type { Figure, LabResult } from '../labs/index.ts';
import { element, html, type Markup } from './html.ts';
import { figureDrawing } from './labFigures.ts';
import { renderPage } from './page.ts';
import { scrolled } from './tables.ts';

/** The whole document as text. The same results give the same text. */
export function renderLabs(results: readonly LabResult[]): string {
  const [first] = results;
  const isOne = results.length === 1;
  const title = isOne ? first.question : `${results.length} labs`;
  const header = isOne
    ? html`<p class="eyebrow">hetmem lab ${first.name}</p>
<h1>${title}</h1>
<p class="verdict">${unbroken(first.verdict)}</p>`
    : html`<p class="eyebrow">hetmem lab --all</p>
<h1>${title}</h1>`;
  return renderPage({
    title,
    version: first.version,
    header,
    main: results.map((result) => labSection(result, !isOne)),
    footer: html`hetmem ${first.version}: an executable model of Linux memory migration.`,
  });
}

function labSection(result: LabResult, hasHead: boolean): Markup {
  const head = html`<h2>${result.question}</h2>
<p class="verdict">${unbroken(result.verdict)}</p>`;
  return html`<section class="lab" id="${result.name}">
${hasHead ? head : null}
${experimental(result)}
${setup(result)}
${result.figures.map(figureSection)}
${publishedTable(result)}
${positions(result)}
${notModelled(result)}
${source(result)}
</section>
`;
}

/** What Linux does not have is marked beside the verdict that rests on it. */
function experimental({ experimental: features }: LabResult): Markup {
  if (features.length === 0) return html``;
  return html`<p><span class="tag warn">experimental</span>
not in Linux: ${features.join(', ')}</p>`;
}

function setup({ setup: lines }: LabResult): Markup {
  return html`<ul class="setup">${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function figureSection(figure: Figure): Markup {
  return html`<section class="group"><figure>
<figcaption>${figure.title}</figcaption>
${figureDrawing(figure)}
</figure>
${figureTable(figure)}
</section>
`;
}

function figureTable({ title, columns, rows }: Figure): Markup {
  const heads = columns.map((column) => {
    const { name, unit } = column;
    const kind =
      unit === '' && rows.some((row) => typeof row[columns.indexOf(column)] === 'string');
    const attributes = { scope: 'col', class: kind ? 'words' : null };
    return element('th', attributes, unit === '' ? name : `${name}, ${unit}`);
  });
  const lines = rows.map(([first, ...rest]) => {
    const cells = rest.map((cell) => {
      return element('td', { class: typeof cell === 'string' ? 'words' : null }, cell ?? '–');
    });
    return html`<tr><th scope="row">${first ?? '–'}</th>${cells}</tr>
`;
  });
  const table = html`<table><thead><tr>${heads}</tr></thead><tbody>
${lines}</tbody></table>`;
  return html`<details class="numbers" open><summary>Numbers</summary>
${scrolled(title, table)}</details>`;
}

function publishedTable({ published }: LabResult): Markup {
  if (published.length === 0) return html``;
  const lines = published.map(
    ({ what, published: theirs, ours, unit, deviation, source: from }) => {
      const percent = `${deviation > 0 ? '+' : ''}${(100 * deviation).toFixed(1)} %`;
      return html`<tr><th scope="row">${what}<span class="sub">${from}</span></th>
<td>${theirs} ${unit}</td><td>${ours} ${unit}</td><td>${percent}</td></tr>
`;
    },
  );
  const heads = ['figure', 'thread', 'model', 'deviation'].map((text) => {
    return element('th', { scope: 'col' }, text);
  });
  return html`<h3>Beside the thread</h3>
${scrolled(
  'Figures of the thread and of the model',
  html`<table class="published"><thead><tr>${heads}</tr></thead><tbody>${lines}</tbody></table>`,
)}`;
}

function positions({ positions: all }: LabResult): Markup {
  const entries = all.map(({ who, says, support, because }) => {
    const kind = support === 'supported' ? 'tag' : 'tag warn';
    return html`<dt>${who}</dt>
<dd>${says}.<br>${element('span', { class: kind }, support)} ${because}</dd>
`;
  });
  return html`<h3>Who argues what</h3>
<dl class="policies positions">${entries}</dl>`;
}

function notModelled({ notModelled: lines }: LabResult): Markup {
  if (lines.length === 0) return html``;
  return html`<h3>Not modelled</h3>
<ul class="setup">${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function source({ name, thread, missions, rules, seed, knobs, version }: LabResult): Markup {
  const settings = Object.entries(knobs).map(([knob, value]) => `--set ${knob}=${value}`);
  return html`<p class="muted">Thread ${thread} · missions ${missions.join(', ')} ·
rules ${rules.join(', ')} · hetmem ${version}</p>
<pre><code>hetmem lab ${name} --seed ${seed} ${settings.join(' ')}</code></pre>`;
}

/** Numbers stay beside their units. */
function unbroken(text: string): string {
  return text.replace(/(\d) (MiB|%|ms|pages)/g, '$1\u00a0$2');
}
