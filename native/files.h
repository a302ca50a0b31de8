/* Files of the recorded program by id; see files.c. */
#ifndef HETMEM_FILES_H
#define HETMEM_FILES_H

#include <stdint.h>

/* Id + 1 of the inode, introduced to the recorder when it is new. */
uint64_t fileIdOfPath(uint64_t device, uint64_t inode, uint64_t sizeBytes, const char *path);
/* Id + 1 of an open descriptor, 0 if it is no regular file. */
uint64_t fileIdOfFd(int64_t fd);
/* The program is about to close or replace `fd`, or many at once. */
void fileFdGone(int64_t fd);
void fileFdsGone(void);
/* In a forked child: its stream has heard of no file yet. */
void filesForked(void);

#endif
