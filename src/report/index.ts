/** The report of a comparison as one HTML file. The only door of report/. */
export { renderReport } from './report.ts';
