/**
 * Lists of what colours mean, above a picture.
 */
import { element, html, type Markup } from './html.ts';

/** A patch of a colour (palette.ts) with what it stands for. */
export function legendEntry(shade: string, name: string): Markup {
  const patch = element('rect', { class: `p-${shade}`, width: '100%', height: '100%', rx: 2 });
  const key = element('svg', { class: 'key', 'aria-hidden': 'true' }, patch);
  return html`<li>${key}${name}</li>`;
}

export function legend(entries: readonly (Markup | null)[]): Markup {
  return html`<ul class="legend">${entries}</ul>`;
}
