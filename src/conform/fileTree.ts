/** Files by path, on the file systems that the machine has mounted. */
import { UserError } from '../base/assert.ts';
import { type FileKind, type Kernel, type MappedFile, truncateFile } from '../mm/index.ts';
import { EEXIST, EINVAL, ENOENT } from '../uapi/errno.ts';
import { O_ACCMODE, O_RDWR } from '../uapi/open.ts';
import { OPEN } from './caseWords.ts';
import { NotModelled } from './inputs.ts';

interface Mount {
  readonly at: string;
  readonly kind: FileKind;
  readonly isHuge: boolean;
}

export class FileTree {
  readonly #k: Kernel;
  readonly #mounts: Mount[] = [];
  readonly #files: Map<string, MappedFile> = new Map();
  readonly #position: Map<MappedFile, number> = new Map();
  /** How the file was opened last. */
  readonly #access: Map<MappedFile, number> = new Map();

  constructor(k: Kernel, filesystems: readonly { at: string; type: string }[]) {
    this.#k = k;
    for (const { at, type } of filesystems) this.mount(at, type, '');
  }

  /** `type` as machines.json and mount have it: "tmpfs", "rootfs (tmpfs)", "ext4", "ramfs". */
  mount(at: string, type: string, options: string): void {
    const kind = /tmpfs/.test(type) ? 'tmpfs' : type;
    if (kind !== 'tmpfs' && kind !== 'ext4' && kind !== 'ramfs') {
      throw new NotModelled(`file system ${type}`);
    }
    this.#mounts.push({ at, kind, isHuge: /huge=always/.test(options) });
  }

  /** O_CREAT: the file of that path, new if there is none. */
  create(path: string): MappedFile {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const mount = this.#mountOf(path);
    const kind = path === '/dev/mem' ? 'devmem' : mount.kind;
    const file = this.#k.newFile(path, kind, kind === 'devmem' ? 2 ** 20 : 0);
    file.hugeAlways = mount.isHuge;
    this.#files.set(path, file);
    return file;
  }

  /** open(2): 0, -ENOENT, -EEXIST. A new descriptor stands at the beginning. */
  open(path: string, flags: number): number {
    const exists = this.#files.has(path) || path === '/dev/mem';
    if (!exists && (flags & OPEN.CREAT) === 0) return -ENOENT;
    const exclusive = OPEN.CREAT | OPEN.EXCL;
    if (exists && (flags & exclusive) === exclusive) return -EEXIST;
    const file = this.create(path);
    if ((flags & OPEN.TRUNC) !== 0) this.truncate(file, 0);
    this.#position.set(file, 0);
    this.#access.set(file, flags & O_ACCMODE);
    return 0;
  }

  /** O_RDONLY, O_WRONLY or O_RDWR. */
  accessOf(file: MappedFile): number {
    return this.#access.get(file) ?? O_RDWR;
  }

  /** Where the next write(2) goes, in bytes; `written` moves it on. */
  advancePosition(file: MappedFile, written: number): number {
    const at = this.#position.get(file) ?? 0;
    this.#position.set(file, at + written);
    return at;
  }

  /** memfd_secret: a file without a path. */
  createSecret(name: string): void {
    this.#files.set(name, this.#k.newFile(name, 'secretmem', 0));
  }

  find(path: string, place: string): MappedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new UserError(place, `no file ${path}`);
    return file;
  }

  /** O_TRUNC and ftruncate: 0, or -EINVAL for secret memory that has its size already. */
  truncate(file: MappedFile, pages: number): number {
    if (file.kind === 'secretmem' && file.sizePages > 0) return -EINVAL;
    truncateFile(this.#k, file, pages);
    return 0;
  }

  /** The name goes; the file with it once nobody maps it. */
  unlink(path: string, place: string): void {
    const file = this.find(path, place);
    file.openCount--;
    this.#files.delete(path);
    if (file.openCount === 0 && file.vmas.length === 0) this.#k.dropFile(file);
  }

  #mountOf(path: string): Mount {
    let best: Mount = { at: '/', kind: 'tmpfs', isHuge: false };
    for (const mount of this.#mounts) {
      const under = path === mount.at || path.startsWith(`${mount.at.replace(/\/$/, '')}/`);
      if (under && mount.at.length >= best.at.length) best = mount;
    }
    return best;
  }
}
