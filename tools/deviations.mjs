/**
 * Collects what the model does otherwise than Linux, or leaves out, into docs/model/deviations.md.
 * The places in the code are the source: comments tagged `Deviates:` or `Not modelled:`. An entry
 * ends with its paragraph, with the comment, or at the next tag.
 *
 * Usage: node tools/deviations.mjs          writes the file
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const DEVIATIONS = 'docs/model/deviations.md';

const TAG = /(?:^|[\s.·])(Deviates|Not modelled): */;
const NEXT_TAG = /^(Invariant|Order|Source|Deviates|Not modelled|Units|Preconditions):/;

const INTRODUCTION = `# What the model does otherwise

Collected from the \`Deviates:\` and \`Not modelled:\` comments of the sources by
\`npm run deviations\`; edit them there. \`Deviates\` is a known difference in behaviour, with its
reason; \`Not modelled\` is left out on purpose.
`;

/**
 * The entries of one source.
 * @param {string} text
 * @returns {{ tag: string, text: string }[]}
 */
export function deviationsIn(text) {
  /** @type {{ tag: string, text: string }[]} */
  const entries = [];
  /** @type {{ tag: string, text: string } | null} */
  let open = null;
  for (const line of text.split('\n')) {
    const comment = commentOf(line);
    if (comment === null || comment === '') {
      open = null;
      continue;
    }
    const tag = TAG.exec(comment);
    if (tag !== null) {
      open = { tag: tag[1], text: comment.slice(tag.index + tag[0].length) };
      entries.push(open);
    } else if (NEXT_TAG.test(comment)) open = null;
    else if (open !== null) open.text = `${open.text} ${comment}`.trim();
  }
  return entries;
}

/**
 * The text of a line's comment without its marks; null if there is none.
 * @param {string} line
 */
function commentOf(line) {
  const match = /^\s*(?:\/\*\*?|\*\/|\*|\/\/)\s?(.*?)\s*(?:\*\/)?\s*$/.exec(line);
  if (match !== null) return match[1].trim();
  // Behind code only a tag counts.
  return /\/\/ ((?:Deviates|Not modelled):.*)$/.exec(line)?.[1] ?? null;
}

/**
 * The document for sources given as path -> text.
 * @param {ReadonlyMap<string, string>} sources
 */
export function deviationsDocument(sources) {
  /** @type {Map<string, string[]>} */
  const byFolder = new Map();
  for (const [path, text] of [...sources].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const folder = path.split('/')[1];
    const name = path.slice(`src/${folder}/`.length);
    for (const entry of deviationsIn(text)) {
      const items = byFolder.get(folder) ?? [];
      items.push(`- [\`${name}\`](../../${path}) **${entry.tag}:** ${entry.text}`);
      byFolder.set(folder, items);
    }
  }
  const sections = [...byFolder].map(([folder, items]) => `## ${folder}\n\n${items.join('\n')}\n`);
  return [INTRODUCTION, ...sections].join('\n');
}

/**
 * Whether `path` is a source that is looked at.
 * @param {string} path
 */
export function mayDeviate(path) {
  return /^src\/[^/]+\/.*\.ts$/.test(path) && !path.endsWith('.test.ts');
}

/** @param {string} root */
function readSources(root) {
  /** @type {Map<string, string>} */
  const sources = new Map();
  const visit = (/** @type {string} */ folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (mayDeviate(path)) sources.set(path, readFileSync(join(root, path), 'utf8'));
    }
  };
  visit('src');
  return sources;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  writeFileSync(join(root, DEVIATIONS), deviationsDocument(readSources(root)));
}
