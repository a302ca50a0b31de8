/**
 * Directories of files that are read and written by path, for DAMON's tree: a directory is an
 * object of files and directories, made when a path is followed.
 */
import { U64_MAX } from '../mm/index.ts';
import { EACCES, EINVAL, ENOENT, ENOMEM, ERANGE } from '../uapi/errno.ts';

export interface Leaf {
  readonly kind: 'leaf';
  /** Without the newline. */
  readonly read: () => string;
  /** 0 or a negative errno. null: read-only. */
  readonly write: ((value: string) => number) | null;
}

export interface Directory {
  readonly kind: 'directory';
  readonly entries: () => Readonly<Record<string, Leaf | Directory>>;
}

export function directory(entries: () => Readonly<Record<string, Leaf | Directory>>): Directory {
  return { kind: 'directory', entries };
}

export function readOnly(read: () => string | number): Leaf {
  return { kind: 'leaf', read: () => String(read()), write: null };
}

type NumberFields<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T];

const INT_MAX = 2 ** 31 - 1;
/** kmalloc_array of as many pointers as KMALLOC_MAX_SIZE, 4 MiB, holds. */
const ROWS_MAX = 2 ** 19;

/** An unsigned number (kstrtoul), signed with `isSigned`. Junk: -EINVAL. Too large: -ERANGE. */
export function numberLeaf<T, K extends NumberFields<T>>(
  owner: T,
  field: K,
  isSigned = false,
): Leaf {
  return {
    kind: 'leaf',
    read: () => numberText(owner[field] as number),
    write: (value) => {
      const pattern = isSigned ? /^[-+]?\d+$/ : /^(\d+|0x[0-9a-f]+)$/i;
      if (!pattern.test(value)) return -EINVAL;
      if (BigInt(value) >= 2n ** 64n) return -ERANGE;
      owner[field] = Number(value) as T[K];
      return 0;
    },
  };
}

/** Doubles know no 2^64 - 1; nothing else is that large. */
function numberText(value: number): string {
  return value === U64_MAX ? '18446744073709551615' : String(value);
}

/** Y or N. */
export function boolLeaf<T, K extends keyof T>(owner: T, field: K): Leaf {
  return {
    kind: 'leaf',
    read: () => (owner[field] ? 'Y' : 'N'),
    write: (value) => {
      if (!/^([yn01]|on|off)$/i.test(value)) return -EINVAL;
      owner[field] = /^(y|1|on)$/i.test(value) as T[K];
      return 0;
    },
  };
}

/** One of some words. */
export function wordLeaf<T, K extends keyof T>(
  owner: T,
  field: K,
  words: readonly T[K][] & readonly string[],
): Leaf {
  return {
    kind: 'leaf',
    read: () => String(owner[field]),
    write: (value) => {
      const word = words.find((candidate) => candidate === value);
      if (word === undefined) return -EINVAL;
      owner[field] = word;
      return 0;
    },
  };
}

/**
 * nr_NAME and directories 0 to nr - 1. Writing the number (kstrtoint) makes all of them anew.
 * `check`: an errno that forbids it. Junk: -EINVAL. No int: -ERANGE. Too many to allocate: -ENOMEM.
 */
export function rowDirectory<T>(
  name: string,
  rows: T[],
  make: () => T,
  entry: (row: T, index: number) => Directory,
  check: (nr: number) => number = () => 0,
): Directory {
  return directory(() => ({
    [`nr_${name}`]: {
      kind: 'leaf',
      read: () => String(rows.length),
      write: (value) => {
        if (!/^\d+$/.test(value)) return -EINVAL;
        const nr = Number(value);
        if (nr > INT_MAX) return -ERANGE;
        const refused = check(nr);
        if (refused !== 0) return refused;
        if (nr > ROWS_MAX) return -ENOMEM;
        rows.length = 0;
        for (let i = 0; i < nr; i++) rows.push(make());
        return 0;
      },
    },
    ...Object.fromEntries(rows.map((row, i) => [String(i), entry(row, i)])),
  }));
}

/** Follows `path` from `root`: the file, or null. */
export function leafAt(root: Directory, path: string): Leaf | null {
  let at: Leaf | Directory = root;
  for (const name of path.split('/')) {
    if (at.kind === 'leaf') return null;
    const entries: Readonly<Record<string, Leaf | Directory>> = at.entries();
    const next: Leaf | Directory | undefined = Object.hasOwn(entries, name)
      ? entries[name]
      : undefined;
    if (next === undefined) return null;
    at = next;
  }
  return at.kind === 'leaf' ? at : null;
}

export function writeLeaf(leaf: Leaf | null, value: string): number {
  if (leaf === null) return -ENOENT;
  return leaf.write === null ? -EACCES : leaf.write(value);
}

/** Every file below a directory, by its path. */
export function leavesOf(root: Directory, prefix: string): { path: string; leaf: Leaf }[] {
  return Object.entries(root.entries()).flatMap(([name, entry]) => {
    const path = `${prefix}/${name}`;
    return entry.kind === 'leaf' ? [{ path, leaf: entry }] : leavesOf(entry, path);
  });
}
