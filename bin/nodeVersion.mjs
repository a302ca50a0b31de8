/**
 * The oldest Node that can run hetmem, and the message for older ones. Written so that Node 14 can
 * still parse it: an old Node must say what is wrong, not fail with a syntax error.
 */

const OLDEST = [20, 19];

/** Ends the process with a remedy (exit 2) when this Node is too old. */
export function checkNodeVersion() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
  process.stderr.write(
    `hetmem: needs Node ${OLDEST.join('.')} or newer, and this is Node ${process.versions.node} ` +
      `(${process.execPath}).\n` +
      'Install a newer one from https://nodejs.org/en/download or with your version manager, ' +
      'for example: nvm install 24\n',
  );
  process.exit(2);
}
