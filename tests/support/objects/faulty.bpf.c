// Programs that ask for what is not there, loaded only when asked for.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct flow {
	__u32 source;
	__u16 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct task_struct {
	int no_such_field;
} __attribute__((preserve_access_index));

SEC("?socket")
int faulty(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct flow *found = bpf_map_lookup_elem(&flows, &key);

	return found->port;
}

SEC("?raw_tp/sys_enter")
int reads_missing(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, no_such_field);
}

extern void bpf_no_such_kernel_function(void) __ksym __attribute__((weak));
extern void bpf_no_such_function_either(void) __ksym;

SEC("?tp_btf/sys_enter")
int guarded(__u64 *ctx)
{
	if (bpf_no_such_kernel_function)
		bpf_no_such_kernel_function();
	return 0;
}

SEC("?tp_btf/sys_enter")
int unguarded(__u64 *ctx)
{
	bpf_no_such_function_either();
	return 0;
}

SEC("?tp_btf/no_such_tracepoint")
int nowhere(__u64 *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
