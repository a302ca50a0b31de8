/**
 * HTML that cannot be broken by what is put into it: `html` and `element` escape every value unless
 * it is Markup itself. Names of programs, policies and files come from outside, so nothing in this
 * folder builds HTML in another way.
 */

/** Text that is HTML already. Made by `html` and `element` only. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template: null and '' leave nothing behind. */
export type Content = Markup | string | number | null | readonly Content[];

/** The template with its values, escaped: safe in text and in quoted attributes. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  let text = strings[0]!;
  for (const [i, value] of values.entries()) text += textOf(value) + strings[i + 1]!;
  return new Markup(text);
}

/** Attributes by name; null leaves one out. */
export type Attributes = Readonly<Record<string, string | number | null>>;

/** Elements that have no content and no end tag in HTML. */
const VOID: ReadonlySet<string> = new Set(['img', 'meta']);

/** One element, where a template would be too wide to read. `name` is ours, never from outside. */
export function element(name: string, attributes: Attributes, ...content: Content[]): Markup {
  let text = `<${name}`;
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null) text += ` ${attribute}="${textOf(value)}"`;
  }
  return new Markup(VOID.has(name) ? `${text}>` : `${text}>${textOf(content)}</${name}>`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}

function textOf(value: Content): string {
  if (value === null) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(textOf).join('');
  return escapeHtml(String(value));
}
