/**
 * The frame of every report: one HTML file without script or request, with its own policy that
 * forbids both, light or dark as the reader has it.
 */
import { type Content, html, Markup } from './html.ts';
import { styleSheet } from './style.ts';

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

export interface Page {
  readonly title: string;
  /** Version of hetmem. */
  readonly version: string;
  readonly header: Content;
  readonly main: Content;
  readonly footer: Content;
}

export function renderPage({ title, version, header, main, footer }: Page): string {
  const page = html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="hetmem ${version}">
<title>${title} · hetmem</title>
<style>${new Markup(styleSheet())}</style>
</head>
<body>
<header>
${header}
</header>
<main>
${main}
</main>
<footer><p>${footer}</p></footer>
</body>
</html>
`;
  return `<!doctype html>\n${page.text}`;
}
