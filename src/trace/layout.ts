/**
 * The layout of a trace file, declared once (FORMATS.md is the prose).
 *
 * preamble | header chunk | data chunks... | end chunk | footer. All integers little-endian.
 * A chunk is a head of CHUNK_HEAD_BYTES, a directory of BLOCK_ENTRY_BYTES a block, and the blocks.
 * The head's checksum covers head and directory; each block has one of its own, so that a reader
 * reads, checks and decompresses only the blocks it needs.
 */

/** Bumped with each change of layout or meaning: with an upgrader and a line in FORMATS.md. */
export const FORMAT_VERSION = 1;

/** As PNG's: catches 7-bit and text-mode transfers. */
export const MAGIC = Uint8Array.of(0x89, 0x48, 0x4d, 0x54, 0x0d, 0x0a, 0x1a, 0x0a);
/** magic (8), format version (u32), zero (u32) */
export const PREAMBLE_BYTES = 16;

/** "HMTc" */
export const CHUNK_MAGIC = 0x63544d48;
/**
 * 0 magic u32 · 4 type u8 · 5 blocks u8 · 6 page encoding u8 · 7 weight encoding u8 ·
 * 8 sequence number u32 · 12 accesses u32 · 16 runs u32 · 20 slices u32 · 24 events u32 ·
 * 28 checksum u32 of bytes [0, 28) and the directory.
 */
export const CHUNK_HEAD_BYTES = 32;
export const CHUNK_HEADER = 1;
export const CHUNK_DATA = 2;
export const CHUNK_END = 3;

/** codec u8 · zero u8 · zero u16 · raw bytes u32 · stored bytes u32 · checksum u32 of the stored */
export const BLOCK_ENTRY_BYTES = 16;
export const BLOCKS_MAX = 16;

/** Blocks of a header chunk. */
export const BLOCK_JSON = 0;

/** Blocks of a data chunk. */
export const BLOCK_ITEMS = 0;
export const BLOCK_DICTIONARY = 1;
export const BLOCK_PAGE_A = 2;
export const BLOCK_PAGE_B = 3;
export const BLOCK_PAGE_C = 4;
export const BLOCK_WEIGHT = 5;
export const BLOCK_LINE = 6;

/** Blocks of the end chunk. */
export const BLOCK_INDEX = 0;
export const BLOCK_TABLES = 1;
export const BLOCK_SUMMARY = 2;

/** "HMTz", offset of the end chunk (u64), checksum u32 of the first 12 bytes */
export const FOOTER_MAGIC = 0x7a544d48;
export const FOOTER_BYTES = 16;

/** Page column: two planes of `index << 1 | write`: A low bytes, B high bytes. */
export const PAGES_PLAIN = 0;
/** Page column: A a symbol a run that points at a past run, B and C literal indices (low, high). */
export const PAGES_HISTORY = 1;

/** Weight column: all are 1, no bytes. */
export const WEIGHTS_ONE = 0;
/** Weight column: a byte a run, weight - 1; 255 sends to the 16-bit weights after the bytes. */
export const WEIGHTS_BYTES = 1;
/** Weight column: a pair of varints for each run that is not 1: runs since the last one, weight. */
export const WEIGHTS_SPARSE = 2;

/** Distinct pages of a chunk: an index has 15 bits. */
export const CHUNK_PAGES_MAX = 32768;
export const CHUNK_RUNS_MAX = 1 << 20;
export const CHUNK_ACCESSES_MAX = 1 << 22;
/** The writer closes a chunk whose items block reaches this. */
export const CHUNK_ITEMS_BYTES = 1 << 20;
/** A reader refuses larger blocks: no valid writer makes them. */
export const BLOCK_BYTES_MAX = 1 << 28;

/** Opcodes of the items block below the event kinds (eventCodec.ts). */
export const ITEM_SLICE = 0;
export const ITEM_PROCESS = 1;
export const ITEM_THREAD = 2;
export const ITEM_EVENT = 16;

/** VPNs below 2^40 (52-bit addresses), processes below 2^13: both fit one double. */
export const VPN_MAX = 1099511627776;
export const PROCESSES_MAX = 8192;
