/** Files by path, on the file systems that the machine has mounted. */
import { UserError } from '../base/assert.ts';
import { type FileKind, type Kernel, type MappedFile, truncateFile } from '../mm/index.ts';
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

  /** memfd_secret: a file without a path. */
  createSecret(name: string): void {
    this.#files.set(name, this.#k.newFile(name, 'secretmem', 0));
  }

  find(path: string, place: string): MappedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new UserError(place, `no file ${path}`);
    return file;
  }

  /** O_TRUNC and ftruncate. */
  truncate(file: MappedFile, pages: number): void {
    truncateFile(this.#k, file, pages);
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
