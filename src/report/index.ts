/** Reports as one HTML file: of a comparison, of labs. The only door of report/. */
export { renderLabs } from './labReport.ts';
export { renderReport } from './report.ts';
