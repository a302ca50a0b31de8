/**
 * Small changes of a source that tests should notice. All of a file are compiled in at once, each
 * behind a question that is answered at run time: `hetmemMutant(7) ? a - b : a + b`.
 *
 * Not mutated: what is evaluated once when a module is loaded, types, and the texts of errors.
 */
import ts from 'typescript';

/** @typedef {{ id: number, path: string, line: number, from: string, to: string }} Mutant */

const K = ts.SyntaxKind;
const f = ts.factory;

/**
 * Operators and what they are exchanged for.
 * @type {ReadonlyMap<ts.SyntaxKind, ts.BinaryOperator[]>}
 */
const BINARY = new Map(
  /** @type {[ts.SyntaxKind, ts.BinaryOperator[]][]} */ ([
    [K.EqualsEqualsEqualsToken, [K.ExclamationEqualsEqualsToken]],
    [K.ExclamationEqualsEqualsToken, [K.EqualsEqualsEqualsToken]],
    [K.LessThanToken, [K.LessThanEqualsToken, K.GreaterThanEqualsToken]],
    [K.LessThanEqualsToken, [K.LessThanToken, K.GreaterThanToken]],
    [K.GreaterThanToken, [K.GreaterThanEqualsToken, K.LessThanEqualsToken]],
    [K.GreaterThanEqualsToken, [K.GreaterThanToken, K.LessThanToken]],
    [K.AmpersandAmpersandToken, [K.BarBarToken]],
    [K.BarBarToken, [K.AmpersandAmpersandToken]],
    [K.QuestionQuestionToken, [K.AmpersandAmpersandToken]],
    [K.PlusToken, [K.MinusToken]],
    [K.MinusToken, [K.PlusToken]],
    [K.AsteriskToken, [K.SlashToken]],
    [K.SlashToken, [K.AsteriskToken]],
    [K.PercentToken, [K.AsteriskToken]],
    [K.AmpersandToken, [K.BarToken]],
    [K.BarToken, [K.AmpersandToken]],
    [K.PlusEqualsToken, [K.MinusEqualsToken]],
    [K.MinusEqualsToken, [K.PlusEqualsToken]],
    [K.BarEqualsToken, [K.AmpersandEqualsToken]],
    [K.AmpersandEqualsToken, [K.BarEqualsToken]],
  ]),
);

/**
 * A transformer that compiles the mutants of `path` in and appends them to `mutants`.
 * @param {string} path
 * @param {Mutant[]} mutants
 * @returns {ts.TransformerFactory<ts.SourceFile>}
 */
export function mutantsOf(path, mutants) {
  return (context) => (file) => {
    /**
     * @param {ts.Node} node
     * @param {string} to
     */
    const declare = (node, to) => {
      const id = mutants.length;
      const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
      mutants.push({ id, path, line: line + 1, from: node.getText(file), to });
      return f.createCallExpression(f.createIdentifier('hetmemMutant'), undefined, [
        f.createNumericLiteral(id),
      ]);
    };
    /**
     * @param {ts.Node} node
     * @param {boolean} isInside within a function, so that it runs when tests run
     * @returns {ts.Node}
     */
    const visit = (node, isInside) => {
      const inside = isInside || (ts.isFunctionLike(node) && 'body' in node);
      if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || isAssertion(node)) return node;
      const visited = ts.visitEachChild(node, (child) => visit(child, inside), context);
      if (!isInside) return visited;
      if (ts.isBlock(node)) return mutatedBlock(node, /** @type {ts.Block} */ (visited), declare);
      if (!ts.isExpression(node) || isTarget(node)) return visited;
      let result = /** @type {ts.Expression} */ (visited);
      for (const { expression, to } of replacementsOf(node)) {
        const question = declare(node, to);
        result = f.createParenthesizedExpression(
          f.createConditionalExpression(question, undefined, expression, undefined, result),
        );
      }
      return result;
    };
    return /** @type {ts.SourceFile} */ (ts.visitEachChild(file, (n) => visit(n, false), context));
  };
}

/**
 * A body that does nothing.
 * @param {ts.Block} node
 * @param {ts.Block} visited
 * @param {(node: ts.Node, to: string) => ts.Expression} declare
 */
function mutatedBlock(node, visited, declare) {
  if (node.statements.length === 0 || ts.isConstructorDeclaration(node.parent)) return visited;
  const question = declare(node, '{}');
  return f.createBlock([f.createIfStatement(question, f.createBlock([]), visited)]);
}

/**
 * assert(...): its condition can only fail if the model is wrong.
 * @param {ts.Node} node
 */
function isAssertion(node) {
  return ts.isCallExpression(node) && node.expression.getText() === 'assert';
}

/**
 * What stands on the left of an assignment, or is a name only.
 * @param {ts.Expression} node
 */
function isTarget(node) {
  const { parent } = node;
  if (ts.isBinaryExpression(parent) && parent.left === node) {
    const kind = parent.operatorToken.kind;
    return kind >= K.FirstAssignment && kind <= K.LastAssignment;
  }
  return ts.isPropertyAssignment(parent) && parent.name === node;
}

/**
 * @param {ts.Expression} node
 * @returns {{ expression: ts.Expression, to: string }[]}
 */
function replacementsOf(node) {
  /** @type {{ expression: ts.Expression, to: string }[]} */
  const out = [];
  if (isCondition(node)) {
    const isLoop = !ts.isIfStatement(node.parent) && !ts.isConditionalExpression(node.parent);
    if (!isLoop) out.push({ expression: f.createTrue(), to: 'true' });
    out.push({ expression: f.createFalse(), to: 'false' });
  }
  if (ts.isBinaryExpression(node)) {
    for (const operator of BINARY.get(node.operatorToken.kind) ?? []) {
      const expression = f.createBinaryExpression(node.left, operator, node.right);
      out.push({ expression, to: ts.tokenToString(operator) ?? '' });
    }
  } else if (ts.isPrefixUnaryExpression(node)) {
    if ([K.ExclamationToken, K.MinusToken, K.TildeToken].includes(node.operator)) {
      out.push({ expression: node.operand, to: 'without its operator' });
    }
    if (node.operator === K.PlusPlusToken) out.push(opposite(node, K.MinusMinusToken));
    if (node.operator === K.MinusMinusToken) out.push(opposite(node, K.PlusPlusToken));
  } else if (ts.isPostfixUnaryExpression(node)) {
    const other = node.operator === K.PlusPlusToken ? K.MinusMinusToken : K.PlusPlusToken;
    out.push({ expression: f.createPostfixUnaryExpression(node.operand, other), to: 'opposite' });
  } else if (node.kind === K.TrueKeyword) out.push({ expression: f.createFalse(), to: 'false' });
  else if (node.kind === K.FalseKeyword) out.push({ expression: f.createTrue(), to: 'true' });
  return out;
}

/**
 * @param {ts.PrefixUnaryExpression} node
 * @param {ts.PrefixUnaryOperator} operator
 */
function opposite(node, operator) {
  return { expression: f.createPrefixUnaryExpression(operator, node.operand), to: 'opposite' };
}

/** @param {ts.Expression} node */
function isCondition(node) {
  const { parent } = node;
  if (ts.isIfStatement(parent) || ts.isWhileStatement(parent) || ts.isDoStatement(parent)) {
    return parent.expression === node;
  }
  return (
    (ts.isForStatement(parent) || ts.isConditionalExpression(parent)) && parent.condition === node
  );
}
