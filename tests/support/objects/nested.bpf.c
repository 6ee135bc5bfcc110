// Maps that hold maps and programs from the start; kinds of maps of their own.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
};
struct inner first SEC(".maps");
struct inner second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {.values = {[0] = &first, [2] = &second}};

int last_one(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(void *));
} calls SEC(".maps") = {.values = {[1] = (void *)&last_one}};

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 10);
	__uint(map_extra, 3);
	__type(value, __u32);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(value, __u32);
} pybpf_test_queue SEC(".maps");

SEC("socket")
int last_one(struct __sk_buff *skb)
{
	return 77;
}

SEC("socket")
int walk(struct __sk_buff *skb)
{
	__u32 index = 2, zero = 0;
	void *inner = bpf_map_lookup_elem(&outer, &index);
	__u64 *value = inner ? bpf_map_lookup_elem(inner, &zero) : 0;

	if (value)
		*value += 5;
	bpf_map_push_elem(&pybpf_test_queue, &index, 0);
	bpf_map_push_elem(&bloom, &index, 0);
	bpf_tail_call(skb, &calls, 1);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
