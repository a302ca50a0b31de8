/*
 * The raw stream from the plugin to the recorder: one Unix socket per process, blocks of 64-bit
 * little-endian words. src/live/record/rawStream.ts reads it; change both and RAW_VERSION.
 *
 * Block: word 0 = type | payload words << 8; word 1 = thread (host tid, 0 = the process);
 * then the payload. A text is its length in bytes and the bytes, padded with zeros to words.
 *
 *   HELLO   version, pid, parent pid (0 = the first process)
 *   MAP     start, end, prot, MAP_* flags, file id + 1 (0 = none), offset
 *   FILE    file id, device, inode, size in bytes, path
 *   THREAD  host tid of the creator (0 = first thread of the process)
 *   ACCESS  clock at start, clock at end, then per access (address / 64) << 1 | write
 *   CALL    clock, syscall number, result, 6 arguments, aux (see callsOf in syscalls.c)
 *   EXEC    clock, path                  before the call: nothing follows if it succeeds
 *   END     clock, exit status           the process or (END_THREAD) the thread ends
 *   COUNT   accesses that the process made, misses among them; before END
 *   NOTE    text                         something the recorder should tell its user
 */
#ifndef HETMEM_RAW_STREAM_H
#define HETMEM_RAW_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define RAW_VERSION 1

enum blockType {
  BLOCK_HELLO = 1,
  BLOCK_MAP,
  BLOCK_FILE,
  BLOCK_THREAD,
  BLOCK_ACCESS,
  BLOCK_CALL,
  BLOCK_EXEC,
  BLOCK_END,
  BLOCK_END_THREAD,
  BLOCK_COUNT,
  BLOCK_NOTE,
};

/* Connects to the recorder. Called again in a forked child, which gets a stream of its own. */
int rawConnect(const char *socketPath);
/* Call before the program closes or replaces descriptor `fd`, which may be the stream's. */
void rawKeepAcrossClose(int fd);
/* Sends one block: `words`, then `text` if not NULL. Waits while the recorder is behind. */
void rawSend(enum blockType type, uint32_t tid, const uint64_t *words, size_t count,
             const char *text);

#endif
