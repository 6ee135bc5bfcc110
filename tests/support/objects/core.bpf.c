// CO-RE relocations of every kind against structs that the kernel lays out otherwise, and a kernel function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head { struct list_head *next, *prev; };
struct mm_struct___old { int nonsense; };
struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	struct task_struct *group_leader;
	struct list_head tasks;
	unsigned sched_reset_on_fork : 1;
	int no_such_field;
};
struct task_struct___flavoured { int tgid; };
struct no_such_struct { int x; };
#pragma clang attribute pop

enum bpf_map_type___wrong { BPF_MAP_TYPE_ARRAY___wrong = 77, BPF_MAP_TYPE_NONE___wrong = 78 };
typedef unsigned int gfp_t;

struct facts {
	__u64 pid_offset, comm_offset, leader_tgid_size, exists, missing, type_exists, type_missing, type_size;
	__u64 enum_value, enum_exists, enum_missing, kernel_id, local_id, pid_signed, tgid_flavoured, bit_size;
	__u64 bit_left, bit_right, next_offset, comm_size, kernel_version, hz, has_bpf, no_such_option, address;
};

struct facts facts;
__u64 seen_pid, seen_leader, ids;

extern int LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_HZ __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NO_SUCH_OPTION __kconfig __weak;

extern const void schedule __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

SEC("raw_tp/sys_enter")
int relocated(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___flavoured *other = (void *)task;

	facts.pid_offset = bpf_core_field_offset(task->pid);
	facts.comm_offset = bpf_core_field_offset(task->comm);
	facts.comm_size = bpf_core_field_size(task->comm);
	facts.next_offset = bpf_core_field_offset(task->tasks.prev);
	facts.leader_tgid_size = bpf_core_field_size(task->tgid);
	facts.exists = bpf_core_field_exists(task->group_leader);
	facts.missing = bpf_core_field_exists(task->no_such_field);
	facts.type_exists = bpf_core_type_exists(struct task_struct);
	facts.type_missing = bpf_core_type_exists(struct no_such_struct);
	facts.type_size = bpf_core_type_size(struct task_struct);
	facts.enum_value = bpf_core_enum_value(enum bpf_map_type___wrong, BPF_MAP_TYPE_ARRAY___wrong);
	facts.enum_exists = bpf_core_enum_value_exists(enum bpf_map_type___wrong, BPF_MAP_TYPE_ARRAY___wrong);
	facts.enum_missing = bpf_core_enum_value_exists(enum bpf_map_type___wrong, BPF_MAP_TYPE_NONE___wrong);
	facts.kernel_id = bpf_core_type_id_kernel(struct task_struct);
	facts.local_id = bpf_core_type_id_local(struct task_struct);
	facts.pid_signed = __builtin_preserve_field_info(task->pid, BPF_FIELD_SIGNED);
	facts.tgid_flavoured = bpf_core_field_offset(other->tgid);
	facts.bit_size = __builtin_preserve_field_info(task->sched_reset_on_fork, BPF_FIELD_BYTE_SIZE);
	facts.bit_left = __builtin_preserve_field_info(task->sched_reset_on_fork, BPF_FIELD_LSHIFT_U64);
	facts.bit_right = __builtin_preserve_field_info(task->sched_reset_on_fork, BPF_FIELD_RSHIFT_U64);
	facts.kernel_version = LINUX_KERNEL_VERSION;
	facts.hz = CONFIG_HZ;
	facts.address = (__u64)&schedule;
	facts.has_bpf = CONFIG_BPF_SYSCALL;
	facts.no_such_option = CONFIG_NO_SUCH_OPTION;
	seen_leader = BPF_CORE_READ(task, group_leader, tgid);
	seen_pid = BPF_CORE_READ(task, pid);
	ids = bpf_get_current_pid_tgid();
	return 0;
}

SEC("tp_btf/sys_enter")
int typed(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	bpf_rcu_read_lock();
	seen_pid = task->pid;
	seen_leader = task->group_leader->tgid;
	ids = bpf_get_current_pid_tgid();
	bpf_rcu_read_unlock();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
