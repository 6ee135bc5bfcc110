"""The declarations behind ``_ffi.py``: run ``python -m pybpf.kernel.ffi_build`` to generate that module again.

cffi's out-of-line ABI mode needs no compiler, neither here nor on the target, and imports in under a millisecond
where an in-line ``cdef`` takes 70. Each bpf(2) command has a structure of its own, named after the command: the kernel
takes any size and reads what is missing as zero, so the members of ``union bpf_attr`` need not be one type here.
Both supported processors align 64-bit members to 8, as the kernel's ``__aligned_u64`` asks.
"""

from __future__ import annotations

from pathlib import Path

CDEF = """
long syscall(long number, size_t a1, size_t a2, size_t a3, size_t a4, size_t a5, size_t a6);
int setns(int fd, int nstype);

struct iovec { uint64_t iov_base; uint64_t iov_len; };
ssize_t process_vm_readv(int pid, const struct iovec *local, unsigned long local_count,
                         const struct iovec *remote, unsigned long remote_count, unsigned long flags);

struct map_create {
    uint32_t map_type, key_size, value_size, max_entries, map_flags, inner_map_fd, numa_node;
    char map_name[16];
    uint32_t map_ifindex, btf_fd, btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id;
    uint64_t map_extra;
    int32_t value_type_btf_obj_fd, map_token_fd;
};

struct map_elem { uint32_t map_fd; uint64_t key; uint64_t value; uint64_t flags; };

struct map_batch {
    uint64_t in_batch, out_batch, keys, values;
    uint32_t count, map_fd;
    uint64_t elem_flags, flags;
};

struct prog_load {
    uint32_t prog_type, insn_cnt;
    uint64_t insns, license;
    uint32_t log_level, log_size;
    uint64_t log_buf;
    uint32_t kern_version, prog_flags;
    char prog_name[16];
    uint32_t prog_ifindex, expected_attach_type, prog_btf_fd, func_info_rec_size;
    uint64_t func_info;
    uint32_t func_info_cnt, line_info_rec_size;
    uint64_t line_info;
    uint32_t line_info_cnt, attach_btf_id, attach_btf_obj_fd, core_relo_cnt;
    uint64_t fd_array, core_relos;
    uint32_t core_relo_rec_size, log_true_size;
    int32_t prog_token_fd;
    uint32_t fd_array_cnt;
};

struct btf_load {
    uint64_t btf, btf_log_buf;
    uint32_t btf_size, btf_log_size, btf_log_level, btf_log_true_size, btf_flags;
    int32_t btf_token_fd;
};

struct obj_pin { uint64_t pathname; uint32_t bpf_fd, file_flags; };
struct link_detach { uint32_t link_fd; };
struct token_create { uint32_t flags, bpffs_fd; };
struct enable_stats { uint32_t type; };

struct prog_test_run {
    uint32_t prog_fd, retval, data_size_in, data_size_out;
    uint64_t data_in, data_out;
    uint32_t repeat, duration, ctx_size_in, ctx_size_out;
    uint64_t ctx_in, ctx_out;
    uint32_t flags, cpu, batch_size;
};

struct get_fd_by_id { uint32_t id, next_id, open_flags; };
struct obj_get_info { uint32_t bpf_fd, info_len; uint64_t info; };
struct raw_tracepoint_open { uint64_t name; uint32_t prog_fd; uint64_t cookie; };
struct prog_bind_map { uint32_t prog_fd, map_fd, flags; };

struct link_create_perf_event {
    uint32_t prog_fd, target_fd, attach_type, flags;
    uint64_t bpf_cookie;
};

struct link_create_uprobe_multi {
    uint32_t prog_fd, target_fd, attach_type, flags;
    uint64_t path, offsets, ref_ctr_offsets, cookies;
    uint32_t cnt, uprobe_flags, pid;
};

struct prog_info {
    uint32_t type, id;
    uint8_t tag[8];
    uint32_t jited_prog_len, xlated_prog_len;
    uint64_t jited_prog_insns, xlated_prog_insns, load_time;
    uint32_t created_by_uid, nr_map_ids;
    uint64_t map_ids;
    char name[16];
    uint32_t ifindex, gpl_compatible;
    uint64_t netns_dev, netns_ino;
    uint32_t nr_jited_ksyms, nr_jited_func_lens;
    uint64_t jited_ksyms, jited_func_lens;
    uint32_t btf_id, func_info_rec_size;
    uint64_t func_info;
    uint32_t nr_func_info, nr_line_info;
    uint64_t line_info, jited_line_info;
    uint32_t nr_jited_line_info, line_info_rec_size, jited_line_info_rec_size, nr_prog_tags;
    uint64_t prog_tags, run_time_ns, run_cnt, recursion_misses;
    uint32_t verified_insns, attach_btf_obj_id, attach_btf_id;
};

struct map_info {
    uint32_t type, id, key_size, value_size, max_entries, map_flags;
    char name[16];
    uint32_t ifindex, btf_vmlinux_value_type_id;
    uint64_t netns_dev, netns_ino;
    uint32_t btf_id, btf_key_type_id, btf_value_type_id, btf_vmlinux_id;
    uint64_t map_extra;
};

struct link_info { uint32_t type, id, prog_id, pad; uint64_t rest[12]; };

struct link_info_uprobe_multi {
    uint32_t type, id, prog_id, pad;
    uint64_t path, offsets, ref_ctr_offsets, cookies;
    uint32_t path_size, count, flags, pid;
};

struct perf_event_attr {
    uint32_t type, size;
    uint64_t config, sample_period, sample_type, read_format, flags;
    uint32_t wakeup_events, bp_type;
    uint64_t config1, config2, branch_sample_type, sample_regs_user;
    uint32_t sample_stack_user;
    int32_t clockid;
    uint64_t sample_regs_intr;
    uint32_t aux_watermark;
    uint16_t sample_max_stack, reserved_2;
};
"""

HEADER = "# ruff: noqa\n# mypy: ignore-errors\n"


def generate(path: str) -> None:
    """Write the generated module to ``path``."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source("pybpf.kernel._ffi", None)
    ffi.emit_python_code(path)
    target = Path(path)
    target.write_text(HEADER + target.read_text(encoding="ascii"), encoding="ascii")


if __name__ == "__main__":
    generate(str(Path(__file__).with_name("_ffi.py")))
