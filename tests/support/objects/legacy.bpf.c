// Maps as iproute2 and old libbpf declare them; no BTF at all.
struct bpf_map_def {
	unsigned int type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def counts __attribute__((section("maps"), used)) = {2, 4, 8, 4, 0};
struct bpf_map_def table __attribute__((section("maps"), used)) = {1, 4, 8, 16, 1};

static void *(*lookup)(void *, const void *) = (void *)1;

__attribute__((section("socket"), used)) int count(void *ctx)
{
	unsigned int key = 1;
	unsigned long long *value = lookup(&counts, &key);

	if (value)
		*value += 1;
	return 3;
}

char terms[] __attribute__((section("license"), used)) = "Dual BSD/GPL";
