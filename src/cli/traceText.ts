/** `hetmem trace import` and `hetmem trace export`: other tools' texts to traces and back. */
import { UserError } from '../base/assert.ts';
import { type ByteSink, EXPORT_FORMATS, exportSteps, importSteps } from '../trace/index.ts';
import { parseCount } from './optionValues.ts';
import { codecOf, countText, drive, sizeText, withOutput } from './traceSteps.ts';

export interface ImportFlags {
  readonly output: string;
  readonly format: string;
  readonly program?: string;
  readonly codec: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export interface ExportFlags {
  readonly to: string;
  readonly output?: string;
  readonly limit?: string;
  readonly salvage?: boolean;
  readonly force?: boolean;
}

export async function importText(path: string, flags: ImportFlags): Promise<void> {
  const { inputSource } = await import('../live/index.ts');
  const codec = await codecOf(flags.codec);
  const source = inputSource(path);
  try {
    const [program, ...args] = flags.program?.split(' ') ?? [];
    const header = program === undefined ? {} : { program, args };
    const result = await withOutput(flags.output, flags.force, async (output) => {
      const steps = importSteps(source, output, codec, { format: flags.format, header });
      return drive(steps, `importing ${source.name}`, source.sizeBytes);
    });
    const { format, summary } = result;
    if (flags.json === true) {
      process.stdout.write(`${JSON.stringify({ trace: flags.output, format, summary })}\n`);
      return;
    }
    const pages = summary.processes.reduce((sum, process) => sum + process.touchedPages, 0);
    const nrProcesses = summary.processes.length;
    process.stderr.write(
      `hetmem: ${flags.output}: ${countText(summary.accesses)} accesses of ` +
        `${nrProcesses} ${nrProcesses === 1 ? 'process' : 'processes'}, ` +
        `${sizeText(pages * 4096)} touched, ` +
        `read as ${format}\n`,
    );
  } finally {
    source.close();
  }
}

export async function exportText(path: string, flags: ExportFlags): Promise<void> {
  const { openTraceFile } = await import('../live/index.ts');
  const format = EXPORT_FORMATS.find((name) => name === flags.to);
  if (format === undefined) {
    throw new UserError(
      `--to ${flags.to}`,
      'unknown format',
      `one of ${EXPORT_FORMATS.join(', ')}`,
    );
  }
  const limit = flags.limit === undefined ? undefined : parseCount('--limit', flags.limit);
  const { reader, source } = await openTraceFile(path, { lines: true, salvage: flags.salvage });
  const write = async (sink: ByteSink) => {
    const total = Math.min(reader.totals?.accesses ?? 0, limit ?? Number.POSITIVE_INFINITY);
    await drive(exportSteps(reader, sink, format, limit), `exporting ${path}`, total);
  };
  try {
    if (flags.output === undefined) await write(standardOutput());
    else await withOutput(flags.output, flags.force, write);
    if (reader.damage !== null) process.stderr.write(`hetmem: ${reader.damage}\n`);
  } finally {
    source.close();
  }
}

/** Pipes and files are written synchronously on Linux; the bytes are reused, so they are copied. */
function standardOutput(): ByteSink {
  return { write: (bytes) => void process.stdout.write(Buffer.from(bytes)) };
}
