/**
 * The report's style sheet: colours for light and dark pages, layout from a phone to paper.
 */
import { SHADES } from './palette.ts';

const LIGHT = `
  --page: #fbfbf9; --card: #ffffff; --ink: #191d22; --muted: #5c6570; --line: #dfe2e5;
  --grid: #e7e9eb; --ground: #f1f2f2; --accent: #14613f; --accent-ground: #dcefe4;
  --warn: #8d2f10; --warn-ground: #fbeae3; --edge: rgb(25 29 34 / .22);`;
const DARK = `
  --page: #121519; --card: #1a1e23; --ink: #e9ebee; --muted: #9fa8b3; --line: #30363d;
  --grid: #2b3037; --ground: #21262c; --accent: #7fd8ab; --accent-ground: #17392a;
  --warn: #ffae91; --warn-ground: #40211a; --edge: rgb(0 0 0 / .75);`;

const LAYOUT = `
* { box-sizing: border-box; }
:root { --here: var(--page); }
html { background: var(--page); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 1120px; padding: 2.5rem 1.5rem 3rem; line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
    "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
header { max-width: 52rem; margin-bottom: 2.5rem; }
.eyebrow { margin: 0 0 .4rem; color: var(--muted); font-size: .85rem; letter-spacing: .04em; }
h1 { margin: 0 0 1rem; font-size: clamp(1.6rem, 4.2vw, 2.3rem); line-height: 1.2;
  letter-spacing: -.015em; text-wrap: balance; overflow-wrap: anywhere; }
.verdict { margin: 0; padding-left: 1rem; border-left: 4px solid var(--accent);
  font-size: clamp(1rem, 2.2vw, 1.15rem); }
h2 { margin: 0 0 .25rem; font-size: 1.45rem; letter-spacing: -.01em; }
h3 { margin: 0 0 1rem; font-size: 1.1rem; }
h3 .muted { margin-left: .4rem; font-weight: 400; font-size: .9rem; }
h4 { margin: 1.25rem 0 .25rem; font-size: .95rem; }
h4 .muted { font-weight: 400; }
h5 { margin: 0 0 .5rem; font-size: .9rem; display: flex; gap: .4rem; align-items: baseline; }
p { margin: 0 0 .75rem; }
section { margin-bottom: 2.75rem; }
section.group { --here: var(--card); margin: 1.5rem 0 2.5rem; padding: 1.25rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.muted, figcaption .muted { color: var(--muted); }
p.muted { font-size: .9rem; }
ul.why { margin: .5rem 0 0; padding-left: 1.1rem; font-size: .875rem; }
ul.why li { margin: .35rem 0; overflow-wrap: anywhere; }
ul.why p { margin: .1rem 0; font-size: inherit; }
figure { margin: 0 0 1.5rem; }
figcaption { margin-bottom: .5rem; font-weight: 600; font-size: .95rem; text-align: left; }
figcaption .muted { font-weight: 400; }
code, pre {
  font: .86em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
pre { margin: 0 0 1.25rem; padding: .75rem 1rem; background: var(--ground); border-radius: 8px;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.tag { padding: 0 .4em; border-radius: 4px; background: var(--accent-ground);
  color: var(--accent); font-size: .72rem; font-weight: 600; white-space: nowrap; }
.sub { display: block; color: var(--muted); font-size: .78rem; font-weight: 400; }
footer { border-top: 1px solid var(--line); padding-top: 1rem; color: var(--muted);
  font-size: .85rem; }
.warning { padding: 1rem 1.25rem; background: var(--warn-ground); border-radius: 10px; }
.warning h2 { color: var(--warn); font-size: 1.1rem; }
.warning ul { margin: .25rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }`;

const TABLES = `
/* A shadow at the right edge while there is more to scroll to; the cover goes with the content. */
.scroll { overflow-x: auto; margin-bottom: 1.25rem;
  background:
    linear-gradient(to left, var(--here) 40%, transparent) right / 48px 100% no-repeat local,
    linear-gradient(to left, var(--edge), transparent) right / 16px 100% no-repeat scroll; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; }
th, td { padding: .4rem .6rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; line-height: 1.25; }
th:first-child { position: sticky; left: 0; padding-left: 0; background: var(--here);
  text-align: left; }
tr > td:first-child { border-bottom: 0; }
tbody th { font-weight: 500; white-space: nowrap; }
td { white-space: nowrap; }
tr.best th, tr.best td, td.best .value { font-weight: 700; }
table.glance { font-size: .95rem; min-width: 24rem; }
table.glance td { min-width: 5.6rem; }
table.glance .value { display: flex; gap: .4rem; justify-content: flex-end; align-items: baseline; }
table.glance .value .tag { order: -1; }
th.workload { color: var(--ink); font-weight: 600; text-align: center; border-bottom: 0; }
tr.bound th, tr.bound td { color: var(--muted); font-style: italic; }
td.failed { color: var(--warn); }
.excess { display: block; margin: .25rem 0 .1rem; }
.excess-ground { fill: var(--ground); }
.excess-bar { fill: var(--muted); }
td.best .excess-bar { fill: var(--accent); }
details.numbers { margin-bottom: .75rem; }
details.numbers[open] { margin-bottom: 1.25rem; }
summary { cursor: pointer; font-weight: 600; font-size: .95rem; padding: .15rem 0; }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
tr.first th, tr.first td { border-top: 1px solid var(--line); }
dl { margin: 0; }
.facts-grid { display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem;
  margin-bottom: 1.25rem; }
.facts { padding: 1rem 1.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; min-width: 0; }
.facts h4 { margin-top: 0; }
.facts dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem .9rem;
  font-size: .875rem; }
.facts dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.policies { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1.2rem;
  font-size: .9rem; }
.policies dt { font-weight: 600; }`;

const PICTURES = `
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 0 0 .75rem; padding: 0;
  list-style: none; color: var(--muted); font-size: .82rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.key { width: 12px; height: 12px; flex: none; }
.key.wide { width: 50px; }
.map-key { flex-wrap: wrap; }
.bar-row { display: grid; grid-template-columns: minmax(7rem, 12rem) minmax(0, 1fr) 4rem;
  gap: .75rem; align-items: center; }
.bar-label { overflow-wrap: anywhere; line-height: 1.2; font-size: .9rem; }
.bar-value { text-align: right; font-size: .95rem; }
.bar-row.best .bar-label, .bar-row.best .bar-value { font-weight: 700; }
.bar-row.bound .bar-label, .bar-row.bound .bar-value { color: var(--muted); font-style: italic; }
.bar-track svg { display: block; overflow: visible; }
.bar rect { stroke: var(--card); stroke-width: 1.5; }
.grid { stroke: var(--grid); stroke-width: 1; }
.unit { stroke: var(--ink); stroke-width: 1.25; stroke-dasharray: 3 2; }
.axis text { fill: var(--muted); font-size: 12px; }
.heat-row { display: grid; align-items: end; gap: .35rem 1.1rem; margin-bottom: .55rem;
  grid-template-columns: minmax(7rem, 12rem) 1fr 1fr 1.6fr 1fr; }
.heat-row.best .bar-label { font-weight: 700; }
.heat-cell { min-width: 0; }
.heat-cell svg { display: block; overflow: visible; }
.heat-share { fill: var(--muted); }
.heat-median { fill: var(--ink); stroke: var(--card); stroke-width: 1.5; }
.whisker line { stroke: var(--ink); stroke-width: 1.5; }
.cards { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr));
  gap: .6rem 1rem; }
.card { display: grid; grid-template: subgrid / minmax(0, 1fr); row-gap: .6rem; margin: 0;
  min-width: 0; }
.card h5 { align-self: end; margin: 0; }
.card-value { margin-left: auto; font-weight: 500; }
.plot-title { display: flex; justify-content: space-between; gap: .5rem; color: var(--muted);
  font-size: .74rem; line-height: 1.35; }
.plot-title span { white-space: nowrap; }
.plot-title span:first-child { overflow: hidden; text-overflow: ellipsis; }
.plot-area { position: relative; height: 64px; }
.plot.low .plot-area { height: 40px; }
.plot.map .plot-area { height: 128px; }
.plot-area > svg, .plot-drawing { position: absolute; inset: 0 auto auto 0; height: 100%; }
.plot-ground { fill: var(--ground); }
.plot-drawing svg, .plot-drawing img { display: block; width: 100%; height: 100%; }
.plot-drawing img { image-rendering: pixelated; }
.plot-none { margin: 0; padding: .55rem; color: var(--muted); font-size: .78rem; }
.area { stroke: var(--card); stroke-width: .75; vector-effect: non-scaling-stroke; }
.zero { stroke: var(--muted); stroke-width: 1; vector-effect: non-scaling-stroke; }
.machine-card { display: grid; grid-template-columns: minmax(0, 24rem) minmax(0, 1fr);
  gap: 1rem 2.5rem; margin-bottom: 1.5rem; }
.machine-card figure { margin: 0; }
.machine-text { font-size: .9rem; }
.machine-text ul { margin: 0 0 .75rem; padding-left: 1.1rem; overflow-wrap: anywhere; }
.machine { max-width: 100%; height: auto; }
.machine .box { fill: var(--card); stroke-width: 2; }
.machine .box.cpu { stroke: var(--muted); }
.machine .strong { fill: var(--ink); font-size: 14px; font-weight: 600; }
.machine .small { fill: var(--muted); font-size: 12px; font-weight: 400; }`;

const LABS = `
section.lab + section.lab { border-top: 2px solid var(--line); padding-top: 2rem; }
section.lab > .verdict { margin: .75rem 0 1.5rem; }
ul.setup { margin: 0 0 1.5rem; padding-left: 1.2rem; }
.bar-row.lab { grid-template-columns: minmax(7rem, 13rem) minmax(0, 1fr) 6.5rem; }
.bar-row.lab .bar-value { font-size: .875rem; white-space: nowrap; }
.plot-lab { display: block; overflow: visible; }
.plot-lab .curve { stroke-width: 2; fill: none; }
.plot-lab .tick { fill: var(--muted); font-size: 12px; }
.axis-names { margin: .25rem 0 0; }
td.words, th.words { text-align: left; }
section.lab section.group { margin: 1.25rem 0; padding-bottom: .5rem; }
section.lab figure { margin-bottom: 1rem; }
table.published th { white-space: normal; min-width: 12rem; }
.positions dd { margin-bottom: .6rem; }
.tag.warn { background: var(--warn-ground); color: var(--warn); }`;

const PHONE = `
@media screen and (max-width: 900px) {
  .cards { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
@media screen and (max-width: 640px) {
  body { padding: 1.5rem 1rem 2rem; }
  section.group { margin-inline: -.5rem; padding: 1rem .75rem; }
  .machine-card { grid-template-columns: minmax(0, 1fr); }
  .bar-row, .bar-row.lab { grid-template-columns: minmax(0, 1fr) max-content; gap: 0 .5rem; }
  .bar-row .bar-track { grid-column: 1 / -1; grid-row: 2; margin-bottom: .35rem; }
  .bar-row.axis .bar-track { grid-row: 1; }
  .heat-row { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); margin-bottom: 1rem; }
  .heat-row .bar-label { grid-column: 1 / -1; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: .75rem; }
  tbody th { min-width: 6.4rem; white-space: normal; }
  .policies { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .policies dd { margin-bottom: .5rem; }
  th, td { padding: .35rem .45rem; }
}`;

const PAPER = `
@page { margin: 14mm 12mm; }
@media print {
  :root, section.group { --here: transparent; }
  html { -webkit-print-color-adjust: exact; print-color-adjust: exact; background: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  section.group { padding: 0; border: 0; background: none; }
  .scroll { overflow: visible; background: none; }
  /* What is folded on the screen cannot be opened on paper. */
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { list-style: none; }
  summary::-webkit-details-marker { display: none; }
  table { font-size: 7.5pt; }
  th, td { padding: 2pt 3pt; }
  tbody th { white-space: normal; }
  .cards { column-gap: 8pt; }
  h5 { font-size: 7.5pt; }
  .plot-title { font-size: 6.5pt; }
  figure.bars, .heat-row, .card, .facts, .machine-card, tr, .warning { break-inside: avoid; }
  h2, h3, h4, figcaption, section.workload > p, .legend { break-after: avoid; }
  section.group + section.group { break-before: page; }
  section.workload + section.workload { break-before: page; }
}`;

export function styleSheet(): string {
  const shades = (theme: 'light' | 'dark') =>
    Object.entries(SHADES)
      .map(([name, shade]) => `--${name}: ${shade[theme]};`)
      .join(' ');
  const classes = Object.keys(SHADES)
    .map((name) => `.p-${name} { fill: var(--${name}); stroke: var(--${name}); }`)
    .join('\n');
  // Paper is light, whatever the screen is.
  return `
:root { color-scheme: light dark; ${LIGHT} ${shades('light')} }
@media screen and (prefers-color-scheme: dark) { :root { ${DARK} ${shades('dark')} } }
${classes}
.key rect { stroke: none; }
${LAYOUT}${TABLES}${PICTURES}${LABS}${PHONE}${PAPER}
`;
}
