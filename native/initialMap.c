/*
 * What QEMU's loader mapped before the program's first instruction: program, interpreter, stack.
 *
 * These lie in this process too, at guest address + guest base, so /proc/self/maps lists them,
 * among QEMU's own. QEMU's page table tells which pages are the program's and their protection
 * (QEMU itself maps them without PROT_EXEC); `page_get_flags` is not part of the plugin interface
 * but visible in the Debian build. Without it, what lies below QEMU's own addresses is taken.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "files.h"
#include "rawStream.h"
#include "recording.h"

#define PAGE_BYTES 4096
/* Flags of page_get_flags: the lowest three are PROT_READ, PROT_WRITE, PROT_EXEC. */
#define FLAGS_PROT 7
#define FLAGS_VALID 8
/* QEMU places the program's memory from 1 << 38 up, and itself with the host's libraries. */
#define HOST_SPACE_START 0x500000000000ull

extern int page_get_flags(uint64_t address) __attribute__((weak));

typedef struct {
  uint64_t start, end, offset, inode;
  int prot, mapFlags;
  unsigned major, minor;
  char path[4096];
} mapLine;

static bool parseLine(const char *text, mapLine *line) {
  char perms[5];
  line->path[0] = '\0';
  const char *format = "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %4095[^\n]";
  const int got = sscanf(text, format, &line->start, &line->end, perms, &line->offset, &line->major,
                         &line->minor, &line->inode, line->path);
  if (got < 7) return false;
  line->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
               (perms[2] == 'x' ? PROT_EXEC : 0);
  line->mapFlags = perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
  return true;
}

static void sendRange(const mapLine *line, uint64_t start, uint64_t end, int prot) {
  uint64_t file = 0;
  int flags = line->mapFlags | MAP_FIXED;
  if (line->inode != 0) {
    struct stat status;
    const bool known = stat(line->path, &status) == 0;
    file = fileIdOfPath(known ? status.st_dev : (uint64_t)line->major << 8 | line->minor,
                        line->inode, known ? (uint64_t)status.st_size : 0, line->path);
  } else {
    flags |= MAP_ANONYMOUS;
  }
  const uint64_t words[6] = {start, end,  (uint64_t)prot, (uint64_t)flags,
                             file,  file ? line->offset + (start - line->start) : 0};
  rawSend(BLOCK_MAP, 0, words, 6, NULL);
}

/* Cuts a mapping where the program's view of it changes, and leaves out what is QEMU's. */
static void sendGuestParts(const mapLine *line, uint64_t guestBase) {
  if (page_get_flags == NULL) {
    if (line->end <= HOST_SPACE_START) sendRange(line, line->start, line->end, line->prot);
    return;
  }
  uint64_t partStart = line->start;
  int partFlags = 0;
  for (uint64_t at = line->start; at <= line->end; at += PAGE_BYTES) {
    int flags = 0;
    if (at < line->end) flags = page_get_flags(at - guestBase) & (FLAGS_PROT | FLAGS_VALID);
    if (flags == partFlags && at < line->end) continue;
    if (partFlags & FLAGS_VALID) sendRange(line, partStart, at, partFlags & FLAGS_PROT);
    partStart = at;
    partFlags = flags;
  }
}

void initialMapSend(uint64_t guestBase) {
  if (guestBase != 0) recordingFail("qemu moved the program's addresses; start it with -B 0");
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) recordingFail("/proc/self/maps cannot be read");
  static char text[4096 + 128];
  static mapLine line;
  while (fgets(text, sizeof text, maps) != NULL) {
    if (!parseLine(text, &line)) continue;
    if (line.start < HOST_SPACE_START) sendGuestParts(&line, guestBase);
  }
  fclose(maps);
}
