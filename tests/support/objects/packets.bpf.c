// Maps, globals, several programs in a section, sub-programs static and global, a callback, a fault on purpose.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map;

struct flow {
	__u32 source;
	__u16 port;
	__u8 kind;
	_Bool seen;
	char name[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile __u32 threshold = 10;
const volatile char prefix[8] = "abc";
__u64 total = 5;
static __u64 small_ones;
struct flow last;

static __attribute__((noinline)) __u64 twice(__u64 value)
{
	return value * 2 + small_ones;
}

__attribute__((noinline)) int weigh(__u32 length)
{
	return length > threshold ? 2 : 1;
}

static long visit(struct bpf_map *map, __u32 *key, struct flow *value, __u64 *sum)
{
	*sum += value->port;
	return 0;
}

SEC("socket")
int count(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	struct flow fresh = {.source = key, .port = 7, .kind = weigh(key), .seen = 1};

	__builtin_memcpy(fresh.name, (const char *)prefix, 4);
	total += twice(key);
	if (fresh.kind == 1)
		small_ones++;
	last = fresh;
	bpf_map_update_elem(&flows, &key, &fresh, BPF_ANY);
	bpf_ringbuf_output(&events, &fresh, sizeof(fresh), 0);
	return fresh.kind;
}

SEC("socket")
int ports(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_for_each_map_elem(&flows, visit, &sum, 0);
	return sum;
}

char LICENSE[] SEC("license") = "GPL";
