/* The programs of programs.py, written as one would in C. Compiled for the measurement only:
 * clang -O2 -target bpf -mcpu=v3 -g -c programs.c */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, type) type *name
#define INLINE static inline __attribute__((always_inline))

static void *(*lookup)(void *, const void *) = (void *)1;
static long (*update)(void *, const void *, const void *, u64) = (void *)2;
static long (*delete)(void *, const void *) = (void *)3;
static u64 (*ktime)(void) = (void *)5;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*get_comm)(void *, u32) = (void *)16;
static long (*load_bytes)(void *, u32, void *, u32) = (void *)26;
static long (*read_user)(void *, u32, u64) = (void *)112;
static void *(*reserve)(void *, u64, u64) = (void *)131;
static void (*submit)(void *, u64) = (void *)132;

struct sk_buff { u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress, ifindex; };
struct regs { u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig, ip, cs, flags, sp, ss; };

struct pair { u32 left, right; };
struct call { u64 record, start; u32 depth, flags; };
struct event { u64 record, duration, thread; u32 depth, flags; u8 comm[16]; };
struct flow { u32 low, high; u16 low_port, high_port; };
struct frame { u64 start, subject; };
struct thread { u32 depth, pad; u64 seen; struct frame frames[16]; };
struct header { u16 command, size, kind, count; u32 first, second; };

struct { __uint(type, 2); __type(key, u32); __type(value, u64); __uint(max_entries, 256); } table SEC(".maps");
struct { __uint(type, 1); __type(key, u64); __type(value, struct call); __uint(max_entries, 1024); } calls SEC(".maps");
struct { __uint(type, 1); __type(key, struct flow); __type(value, u64); __uint(max_entries, 1024); } flows SEC(".maps");
struct { __uint(type, 1); __type(key, u64); __type(value, struct thread); __uint(max_entries, 1024); } threads SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 65536); } events SEC(".maps");

INLINE u32 swap32(u32 v) { return __builtin_bswap32(v); }
INLINE u16 swap16(u16 v) { return __builtin_bswap16(v); }

SEC("socket/count") int count(struct sk_buff *ctx)
{
	u8 protocol;
	if (ctx->protocol != 8 || load_bytes(ctx, 9, &protocol, 1))
		return 0;
	u32 key = protocol;
	u64 *value = lookup(&table, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("socket/parse") int parse(struct sk_buff *ctx)
{
	struct header h = {};
	if (load_bytes(ctx, 40, &h, sizeof(h)))
		return 0;
	u16 command = swap16(h.command), size = swap16(h.size), kind = swap16(h.kind);
	if (command == 0)
		return size == 0 && kind < 100;
	if (command > 27 || kind > 38 || size & 7)
		return 0;
	return 16 + size <= ctx->len;
}

SEC("socket/flow_key") int flow_key(struct sk_buff *ctx)
{
	u32 address[2], ports;
	if (load_bytes(ctx, 12, address, 8) || load_bytes(ctx, 20, &ports, 4))
		return 0;
	u32 source = swap32(address[0]), destination = swap32(address[1]);
	u16 source_port = swap16(ports & 0xffff), destination_port = swap16(ports >> 16);
	struct flow key = {};
	if (source < destination) {
		key.low = source; key.high = destination; key.low_port = source_port; key.high_port = destination_port;
	} else {
		key.low = destination; key.high = source; key.low_port = destination_port; key.high_port = source_port;
	}
	u64 one = 1, *value = lookup(&flows, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		update(&flows, &key, &one, 0);
	return 0;
}

SEC("kprobe/entry") int entry(struct regs *ctx)
{
	u64 thread = pid_tgid();
	struct call call = { .record = ctx->di, .start = ktime() };
	update(&calls, &thread, &call, 0);
	return 0;
}

SEC("kprobe/leave") int leave(struct regs *ctx)
{
	u64 thread = pid_tgid();
	struct call *call = lookup(&calls, &thread);
	if (!call)
		return 0;
	struct event *event = reserve(&events, sizeof(struct event), 0);
	if (event) {
		event->record = call->record;
		event->duration = ktime() - call->start;
		event->thread = thread;
		event->depth = call->depth;
		event->flags = ctx->ax != 0;
		get_comm(event->comm, 16);
		submit(event, 0);
	}
	delete(&calls, &thread);
	return 0;
}

INLINE u32 log2(u64 v)
{
	u32 n = 0;
	while (v > 1 && n < 63) { v >>= 1; n++; }
	return n;
}

SEC("kprobe/histogram") int histogram(struct regs *ctx)
{
	u64 thread = pid_tgid();
	struct call *call = lookup(&calls, &thread);
	if (!call)
		return 0;
	u32 slot = log2(ktime() - call->start);
	u64 *value = lookup(&table, &slot);
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("kprobe/push") int push(struct regs *ctx)
{
	u64 me = pid_tgid();
	struct thread *thread = lookup(&threads, &me);
	if (!thread)
		return 0;
	u32 depth = thread->depth;
	thread->seen += 1;
	if (depth >= 16)
		return 1;
	thread->depth = depth + 1;
	thread->frames[depth].subject = ctx->di;
	thread->frames[depth].start = ktime();
	return 0;
}

SEC("kprobe/pop") int pop(struct regs *ctx)
{
	u64 now = ktime(), me = pid_tgid();
	struct thread *thread = lookup(&threads, &me);
	if (!thread || thread->depth == 0)
		return 0;
	u32 depth = thread->depth - 1;
	if (depth >= 16)
		return 0;
	thread->depth = depth;
	struct event *event = reserve(&events, sizeof(struct event), 0);
	if (!event)
		return 0;
	event->record = thread->frames[depth].subject;
	event->duration = now - thread->frames[depth].start;
	event->thread = me;
	event->depth = depth;
	event->flags = 0;
	if (read_user(event->comm, 16, event->record))
		event->flags = 1;
	submit(event, 0);
	return 0;
}

SEC("socket/checksum") int checksum(struct sk_buff *ctx)
{
	u8 data[20] = {};
	if (load_bytes(ctx, 0, data, 20))
		return 0;
	u64 total = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 20; i++)
		total += data[i] * (i & 1 ? 1 : 256);
	return (total & 0xffff) + (total >> 16);
}

SEC("kprobe/clamp") int clamp(struct regs *ctx)
{
	u64 value = ctx->di, low = ctx->si, high = ctx->dx;
	u64 most = value < high ? value : high;
	u32 key = (most > low ? most : low) & 255;
	u64 *found = lookup(&table, &key);
	return found ? *found % 1000 : 0;
}

SEC("kprobe/member") int member(struct regs *ctx)
{
	u64 kind = ctx->di & 0xff, size = ctx->si;
	if (kind == 4 || kind == 19)
		return size > 16 && size < 65536 ? 1 : 2;
	if (kind == 18 || kind == 20 || kind == 21)
		return 3;
	return size == 0 || kind == 0 ? 4 : 0;
}

SEC("kprobe/mix") int mix(struct regs *ctx)
{
	u64 a = ctx->di, b = ctx->si, c = ctx->dx, d = ctx->cx, e = ctx->r8, f = ctx->r9;
	u64 time = ktime();
	a += time; b ^= a; c -= b; d = (d << 7) | (d >> 57); e *= c; f = (f & d) + e;
	u32 key = (a ^ b ^ c ^ d ^ e ^ f) & 255;
	u64 value = a + b * 3 + c * 5 + d * 7 + e * 11 + f * 13;
	update(&table, &key, &value, 0);
	return 0;
}

char gpl[] SEC("license") = "GPL";
