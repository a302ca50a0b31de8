/** Access modes of open(2) (include/uapi/asm-generic/fcntl.h). */

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_ACCMODE = 3;
