/**
 * Which rules a run of the model reaches: a transformer that has each function and statement whose
 * comment cites rules (`// MC-39`) call `hetmemRule` with their ids, and the table of what was met.
 * A citation at the head of a file, of a constant or of a type is no place that could be reached.
 */
import ts from 'typescript';

const CITATION = /\b(OV|MC|MP|PM|TI|HS|DM|PP)-(\d+)([a-z]?)(?:\.\.(?:\1-)?(\d+))?/g;
const f = ts.factory;

/**
 * The ids that a text cites; `MC-4..MC-6` and `MC-4..6` are three.
 * @param {string} text
 */
export function rulesIn(text) {
  /** @type {string[]} */
  const ids = [];
  for (const [, group, from, letter, to] of text.matchAll(CITATION)) {
    if (to === undefined) ids.push(`${group}-${from}${letter}`);
    else for (let n = Number(from); n <= Number(to); n++) ids.push(`${group}-${n}`);
  }
  return ids;
}

/**
 * @param {Set<string>} cited is told every id that has a place to be reached at
 * @returns {ts.TransformerFactory<ts.SourceFile>}
 */
export function ruleHits(cited) {
  return (context) => (file) => {
    /** @param {ts.Node} node */
    const hitOf = (node) => {
      const ids = rulesIn(commentsOf(file, node));
      for (const id of ids) cited.add(id);
      const texts = ids.map((id) => f.createStringLiteral(id));
      const call = f.createCallExpression(f.createIdentifier('hetmemRule'), undefined, texts);
      return ids.length === 0 ? [] : [f.createExpressionStatement(call)];
    };
    /** @param {ts.Node} node @returns {ts.Node} */
    const visit = (node) => {
      const visited = ts.visitEachChild(node, visit, context);
      if (!ts.isBlock(node)) return visited;
      const block = /** @type {ts.Block} */ (visited);
      const own = ts.isFunctionLike(node.parent) ? hitOf(node.parent) : [];
      const statements = node.statements.flatMap((statement, i) => [
        ...(ts.isFunctionLike(statement) ? [] : hitOf(statement)),
        block.statements[i],
      ]);
      return f.updateBlock(block, [...own, ...statements]);
    };
    return /** @type {ts.SourceFile} */ (ts.visitEachChild(file, visit, context));
  };
}

/**
 * The comments before a node and those that end its first line.
 * @param {ts.SourceFile} file
 * @param {ts.Node} node
 */
function commentsOf(file, node) {
  const { text } = file;
  const before = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
  const end = text.indexOf('\n', node.getStart(file));
  const line = text.slice(node.getStart(file), end);
  const after = line.includes('//') ? line.slice(line.indexOf('//')) : '';
  return `${before.map(({ pos, end: to }) => text.slice(pos, to)).join('\n')}\n${after}`;
}

/**
 * Lines for people: by group how many were reached, then those that were not.
 * @param {ReadonlySet<string>} cited
 * @param {ReadonlySet<string>} reached
 */
export function ruleTable(cited, reached) {
  const groups = [...new Set([...cited].map((id) => id.slice(0, 2)))].sort();
  const lines = groups.map((group) => {
    const ids = [...cited].filter((id) => id.startsWith(`${group}-`));
    const missed = ids.filter((id) => !reached.has(id)).sort(byNumber);
    const met = ids.length - missed.length;
    const rest = missed.length === 0 ? '' : `; not ${missed.join(' ')}`;
    return `${group}  ${met} of ${ids.length}${rest}`;
  });
  const met = [...cited].filter((id) => reached.has(id)).length;
  return [...lines, `${met} of ${cited.size} rules that code cites were reached`];
}

/** @param {string} a @param {string} b */
function byNumber(a, b) {
  return Number.parseInt(a.slice(3), 10) - Number.parseInt(b.slice(3), 10);
}
