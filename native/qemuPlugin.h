/*
 * QEMU's TCG plugin interface, API version 1 (qemu 4.2 to 8.2; Debian's qemu-user 7.2).
 *
 * The Debian package ships no header, so the part of the interface that the recorder uses is
 * declared here, from its public documentation: names, types and the order of constants are the
 * interface, nothing else is taken over.
 */
#ifndef HETMEM_QEMU_PLUGIN_H
#define HETMEM_QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGIN_API_VERSION 1
#define PLUGIN_EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t; /* opaque: kind and size of one access */
struct qemu_plugin_tb;                  /* opaque: a block being translated */
struct qemu_plugin_insn;                /* opaque: an instruction of it */

/* What the host tells at installation. The last member matters for whole systems only. */
typedef struct {
  const char *target_name;
  struct {
    int min, cur;
  } version;
  bool system_emulation;
  union {
    struct {
      int smp_vcpus, max_vcpus;
    } system;
  };
} qemu_info_t;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW };

typedef void (*plugin_vcpu_cb)(qemu_plugin_id_t, unsigned vcpu);
typedef void (*plugin_exec_cb)(unsigned vcpu, void *userdata);
typedef void (*plugin_trans_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*plugin_mem_cb)(unsigned vcpu, qemu_plugin_meminfo_t, uint64_t vaddr, void *userdata);
typedef void (*plugin_exit_cb)(qemu_plugin_id_t, void *userdata);
typedef void (*plugin_syscall_cb)(qemu_plugin_id_t, unsigned vcpu, int64_t nr, uint64_t a1,
                                  uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                                  uint64_t a7, uint64_t a8);
typedef void (*plugin_syscall_ret_cb)(qemu_plugin_id_t, unsigned vcpu, int64_t nr, int64_t ret);

void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t, plugin_vcpu_cb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, plugin_trans_cb);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, plugin_syscall_cb);
void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t, plugin_syscall_ret_cb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, plugin_exit_cb, void *userdata);

bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);

void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, plugin_exec_cb,
                                          enum qemu_plugin_cb_flags, void *userdata);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, plugin_mem_cb,
                                      enum qemu_plugin_cb_flags, enum qemu_plugin_mem_rw,
                                      void *userdata);

#endif
