/**
 * Writes docs/policies.md: what each policy decides on, what it needs of a machine, and where it
 * departs from its source. From the compiled list of policies (run `npm run build` first), whose
 * needs and settings are data, and from the comments that open their sources.
 *
 * Usage: node tools/policies.mjs
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deviationsIn } from './deviations.mjs';

export const POLICIES_DOCUMENT = 'docs/policies.md';

const INTRODUCTION = `# Policies

What each policy decides on, what it needs, and where ours departs from its source. Made by
\`npm run policies\` from the policies themselves: edit \`src/policy/\`, not this. Knobs:
\`hetmem policies NAME\`; how policies work and what they are worth:
[model/policies.md](model/policies.md).
Names of heat sources are those of [model/heat.md](model/heat.md).
`;

/**
 * @typedef {object} Description
 * @property {string} name
 * @property {string} summary
 * @property {string} source
 * @property {string} [requires]
 * @property {readonly { name: string }[]} knobs
 */

/**
 * @typedef {object} Needs
 * @property {string} heat
 * @property {number} residencyPeriodNs
 * @property {readonly string[]} vmstat
 * @property {number} futureWindows
 */

/**
 * @typedef {object} Settings
 * @property {Readonly<Record<string, number | boolean>>} sysctl
 * @property {object | null} mempolicy
 * @property {object | null} damon
 */

/**
 * @typedef {{ needs: Needs, settings: Settings }} Made
 */

/**
 * @param {readonly Description[]} policies
 * @param {(name: string) => Made} make with its defaults
 * @param {ReadonlyMap<string, string>} sources path -> text of src/policy
 */
export function policiesDocument(policies, make, sources) {
  const rows = policies.map((policy) => {
    const { path, text } = sourceOf(policy.name, sources);
    const name = `[\`${policy.name}\`](#${policy.name})`;
    const count = departuresOf(path, sources).length;
    const departs = count === 0 ? '–' : `[${count} points](#${policy.name})`;
    return `| ${name} | ${decidesOn(text)} | ${needsOf(policy, make(policy.name))} | ${departs} |`;
  });
  const heads = ['| policy | decides on | needs | departs in |', '| --- | --- | --- | --- |'];
  const table = [...heads, ...rows].join('\n');
  const sections = policies.map((policy) => {
    const { path } = sourceOf(policy.name, sources);
    const departures = departuresOf(path, sources);
    const list = departures.length === 0 ? '' : `\n${departures.join('\n')}\n`;
    const where = `Source: ${policy.source}. [\`${path}\`](../${path})`;
    return `## ${policy.name}\n\n${policy.summary}. ${where}\n${list}`;
  });
  return [INTRODUCTION, `${table}\n`, ...sections].join('\n');
}

/**
 * Where a policy departs from its source: the comments of its file, of those of src/policy that it
 * is made of, and of those of src/mm that its opening comment names.
 * @param {string} path
 * @param {ReadonlyMap<string, string>} sources
 */
function departuresOf(path, sources) {
  const text = sources.get(path) ?? '';
  const comment = text.slice(0, text.indexOf('*/'));
  const own = [...text.matchAll(/from '\.\/(\w+)\.ts'/g)].map(
    (match) => `src/policy/${match[1]}.ts`,
  );
  const kernel = [...comment.matchAll(/\bmm\/(\w+)\.ts/g)].map((match) => `src/mm/${match[1]}.ts`);
  const files = [path, ...new Set([...own, ...kernel])];
  return files.flatMap((file) => {
    const where = file === path ? '' : ` ([\`${file}\`](../${file}))`;
    return deviationsIn(sources.get(file) ?? '').map(({ tag, text: what }) => {
      return `- **${tag}:** ${what}${where}`;
    });
  });
}

/**
 * The file that declares a policy.
 * @param {string} name
 * @param {ReadonlyMap<string, string>} sources
 */
function sourceOf(name, sources) {
  for (const [path, text] of sources) {
    if (text.includes(`PolicyDescription = {\n  name: '${name}',`)) return { path, text };
  }
  throw new Error(`no file of src/policy declares ${name}`);
}

/**
 * The sentence of the opening comment, up to the order of steps.
 * @param {string} text
 */
function decidesOn(text) {
  const comment = text.slice(0, text.indexOf('*/')).replace(/\n \* ?/g, '\n');
  const match = /Decides on:? ([\s\S]*?)(?:\s+Order:|\. [A-Z]|\.\n|\n\n|$)/.exec(comment);
  if (match === null) return '–';
  return match[1].replace(/\s+/g, ' ').replace(/\.$/, '').trim();
}

/**
 * @param {Description} policy
 * @param {Made} made
 */
function needsOf({ knobs, requires }, { needs, settings }) {
  /** @type {string[]} */
  const parts = [];
  const isChosen = knobs.some(({ name }) => name === 'source');
  if (needs.heat !== 'none') parts.push(`\`${needs.heat}\`${isChosen ? ' or another source' : ''}`);
  if (needs.residencyPeriodNs > 0) parts.push('walks over page tables');
  if (needs.vmstat.length > 0) parts.push(needs.vmstat.map((name) => `\`${name}\``).join(', '));
  if (needs.futureWindows > 0) parts.push('the future: the simulator only');
  const on = Object.entries(settings.sysctl).filter(([, value]) => value !== 0 && value !== false);
  const names = on.map(([name]) => name).filter((name) => !/_scan_|_hot_|_rate_/.test(name));
  if (names.length > 0) parts.push(names.map((name) => `\`${name}\``).join(', '));
  if (settings.mempolicy !== null) parts.push('`set_mempolicy`');
  if (settings.damon !== null) parts.push('`/sys/kernel/mm/damon/admin`');
  if (requires !== undefined) parts.push(requires);
  return parts.length === 0 ? '–' : parts.join('; ');
}

/** @param {string} root */
export function readPolicySources(root) {
  const paths = ['src/policy', 'src/mm'].flatMap((folder) => {
    const names = readdirSync(join(root, folder)).filter((name) => /^[^.]+\.ts$/.test(name));
    return names.sort().map((name) => `${folder}/${name}`);
  });
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const { POLICIES, resolveKnobs } = await import('../dist/policy/index.js');
  const { RandomStream } = await import('../dist/base/prng.js');
  const make = (/** @type {string} */ name) => {
    const policy = POLICIES.find((one) => one.name === name);
    if (policy === undefined) throw new Error(name);
    return policy.make(resolveKnobs(policy.knobs, {}).values, new RandomStream(1, name));
  };
  const document = policiesDocument(POLICIES, make, readPolicySources(root));
  writeFileSync(join(root, POLICIES_DOCUMENT), document);
}
