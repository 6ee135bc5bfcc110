from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epicsmon.ca.commands import Command
from epicsmon.ca.dbr import DbrType
from epicsmon.ca.header import encode_message
from epicsmon.capture.packet import ACK, RST, SYN, Segment
from epicsmon.events import Endpoint, Event, Gap, LossUnit, Provenance, PutEvent
from epicsmon.puts import Limits, PutTracker
from tests.support.ca_wire import CLIENT, SERVER, Conversation, Wire, random_conversation, random_sizes

WHOLE = [1 << 20] * 100_000
SEEDS = st.integers(0, 2**32)


def follow(segments: Iterable[Segment], tracker: PutTracker | None = None) -> list[Event]:
    tracker = tracker or PutTracker()
    events: list[Event] = []
    last_ns = 0
    for segment in segments:
        events += tracker.feed(segment)
        last_ns = segment.time_ns
    events += tracker.close(last_ns)
    assert tracker.held == 0
    return events


def puts_in(events: Iterable[Event]) -> list[PutEvent]:
    return [event for event in events if isinstance(event, PutEvent)]


def gaps_in(events: Iterable[Event]) -> list[Gap]:
    return [event for event in events if isinstance(event, Gap)]


def assert_exactly(events: Sequence[Event], talk: Conversation) -> None:
    """Every put of the conversation, whole, in order, and nothing else."""
    assert gaps_in(events) == []
    puts = puts_in(events)
    assert [(p.pv, p.value, p.dbr_type, p.count, p.notify, p.sid, p.cid) for p in puts] == [
        (m.pv, m.value, m.data_type, m.count, m.notify, m.sid, m.cid) for m in talk.puts
    ]


def test_a_put_says_who_what_when_and_where() -> None:
    talk = Conversation(user="alice", host="opi07").begin()
    sid = talk.create("LINAC:MAG:Q12:SET", cid=0, sid=0)
    talk.put(sid, 15.0)
    talk.put(sid, "Off", DbrType.STRING, notify=True)
    segments = list(Wire(WHOLE).carry(talk))
    plain, notify = puts_in(follow(segments))
    assert plain.to_json() == {
        **plain.to_json(),
        "pv": "LINAC:MAG:Q12:SET",
        "pv_source": "wire",
        "value": 15.0,
        "dbr_type": 6,
        "count": 1,
        "notify": False,
        "client": "10.1.2.7:50662",
        "server": "10.1.2.1:5064",
        "user": "alice",
        "host": "opi07",
        "sid": 0,
        "cid": 0,
        "ioid": None,
        "namespace": None,
    }
    assert (notify.value, notify.dbr_type, notify.notify, notify.ioid) == ("Off", 0, True, 2)
    assert notify.time_ns in {segment.time_ns for segment in segments}


@given(SEEDS)
def test_every_put_arrives_however_tcp_cuts_the_stream(seed: int) -> None:
    rng = random.Random(seed)
    talk = random_conversation(rng, 80)
    assert_exactly(follow(Wire(random_sizes(rng)).carry(talk)), talk)


@given(SEEDS)
def test_every_put_arrives_once_though_segments_come_twice_and_out_of_order(seed: int) -> None:
    rng = random.Random(seed)
    talk = random_conversation(rng, 60)
    segments = list(Wire(random_sizes(rng, 200)).carry(talk))
    shuffled: list[Segment] = []
    for segment in segments:
        # Only within one write: what was acknowledged before it has arrived.
        last = shuffled[-1] if shuffled else None
        swap = last is not None and last.src == segment.src and not (last.flags | segment.flags) & (SYN | 1)
        shuffled.insert(len(shuffled) - (swap and rng.random() < 0.3), segment)
        if rng.random() < 0.2:
            shuffled.append(rng.choice(shuffled))
    # A late duplicate of a SYN or FIN may come too, but not before its original.
    tracker = PutTracker()
    assert_exactly(follow(shuffled, tracker), talk)


@given(SEEDS)
@settings(max_examples=300)
def test_what_is_lost_is_counted_and_never_guessed(seed: int) -> None:
    rng = random.Random(seed)
    talk = random_conversation(rng, 100)
    segments = list(Wire(random_sizes(rng, 300)).carry(talk))
    dropped = {i for i in range(2, len(segments) - 2) if rng.random() < 0.08}
    tracker = PutTracker()
    events = follow((s for i, s in enumerate(segments) if i not in dropped), tracker)
    missing = sum(segments[i].wire_length for i in dropped)
    lost = sum(gap.lost for gap in gaps_in(events))
    assert lost >= missing
    assert lost == tracker.counters.lost_bytes
    assert all(gap.unit is LossUnit.BYTES for gap in gaps_in(events))
    # What was seen is a part of what was made, in its order, each put at most once.
    made = iter(talk.puts)
    for put in puts_in(events):
        for candidate in made:
            same = (put.sid, put.count, put.dbr_type, put.notify) == (
                candidate.sid,
                candidate.count,
                candidate.data_type,
                candidate.notify,
            )
            if same and put.value in (candidate.value, None) and put.pv in (candidate.pv, None):
                break
        else:
            pytest.fail(f"{put} was never made")
    if not missing:
        assert_exactly(events, talk)


@given(SEEDS)
@settings(max_examples=200)
def test_a_stream_joined_in_its_middle_is_understood_from_the_next_message_on(seed: int) -> None:
    rng = random.Random(seed)
    talk = Conversation().begin()
    old = talk.create("OLD:CHANNEL", cid=1, sid=7)
    before = len(talk.said)
    for serial in range(30):
        talk.put(old, float(serial), notify=rng.random() < 0.5)
        if rng.random() < 0.3:
            talk.update(tuple(rng.random() for _ in range(100)))
    new = talk.create("NEW:CHANNEL", cid=2)
    talk.put(new, 99.0)
    talk.said = talk.said[before:]
    segments = list(Wire(random_sizes(rng, 100)).carry(talk, handshake=False))
    cut = rng.randrange(10)
    events = follow(segments[cut:])
    puts = puts_in(events)
    assert puts[-1].value == 99.0
    assert puts[-1].pv == "NEW:CHANNEL"
    values = [put.value for put in puts]
    first = values[0]
    assert values == [float(i) for i in range(int(first), 30)] + [99.0]  # type: ignore[arg-type]
    assert all((put.pv, put.cid, put.sid, put.pv_source) == (None, None, 7, None) for put in puts[:-1])
    assert all((put.client, put.server) == (CLIENT, SERVER) for put in puts)


def test_a_circuit_older_than_the_monitor_is_known_at_its_first_put() -> None:
    talk = Conversation().begin()
    sid = talk.create("OLD", cid=1, sid=42)
    talk.said.clear()
    talk.put(sid, 1.5)
    (put,) = puts_in(follow(Wire(WHOLE).carry(talk, handshake=False, end=False)))
    assert (put.pv, put.pv_source, put.sid, put.value, put.user) == (None, None, 42, 1.5, None)


def test_one_name_twice_on_one_circuit() -> None:
    talk = Conversation().begin()
    first, second = talk.create("A", cid=1), talk.create("A", cid=2)
    talk.put(first, 1.0)
    talk.clear(first)
    talk.put(second, 2.0)
    assert_exactly(follow(Wire(WHOLE).carry(talk)), talk)


def test_a_sid_used_again_has_its_new_name() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    talk.put(sid, 1.0)
    talk.clear(sid)
    assert talk.create("B", cid=1) == sid
    talk.put(sid, 2.0)
    assert_exactly(follow(Wire(WHOLE).carry(talk)), talk)


def test_a_put_to_a_cleared_channel_has_no_name() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    talk.put(sid, 1.0)
    late = talk.said[-1]
    talk.clear(sid)
    talk.said.append(late)
    assert [put.pv for put in puts_in(follow(Wire(WHOLE).carry(talk)))] == ["A", None]


def test_circuits_of_two_priorities_are_apart() -> None:
    tracker = PutTracker()
    expected = []
    for priority, port in ((0, 40000), (80, 40001)):
        talk = Conversation(priority=priority).begin()
        sid = talk.create(f"PRIO:{priority}", cid=1, sid=5)
        talk.put(sid, float(priority))
        client = Endpoint("10.1.2.7", port)
        for segment in Wire(WHOLE, client=client).carry(talk, end=False):
            expected += puts_in(tracker.feed(segment))
    assert [(p.pv, p.value, p.client.port) for p in expected] == [("PRIO:0", 0.0, 40000), ("PRIO:80", 80.0, 40001)]
    assert tracker.counters.circuits == 2


@pytest.mark.parametrize("elements", [8190, 8191, 8192, 100_000])
def test_large_arrays_use_the_extended_header(elements: int) -> None:
    talk = Conversation().begin()
    sid = talk.create("WF", cid=1)
    talk.put(sid, tuple(float(i) for i in range(elements)))
    talk.put(sid, 1.0)
    assert_exactly(follow(Wire([1448] * 10_000).carry(talk)), talk)


def test_a_payload_beyond_the_limit_is_a_put_without_a_value() -> None:
    talk = Conversation().begin()
    sid = talk.create("WF", cid=1)
    talk.put(sid, tuple(float(i) for i in range(1000)))
    talk.put(sid, 2.0)
    tracker = PutTracker(Limits(message=4096))
    events = follow(Wire([1000] * 100).carry(talk), tracker)
    large, small = puts_in(events)
    assert (large.pv, large.value, large.count, large.dbr_type) == ("WF", None, 1000, 6)
    assert (small.pv, small.value) == ("WF", 2.0)
    assert [gap.lost for gap in gaps_in(events)] == [8000]
    assert tracker.counters.damaged == 1


def test_a_hole_inside_a_value_loses_that_value_alone() -> None:
    talk = Conversation().begin()
    sid = talk.create("WF", cid=1)
    talk.put(sid, tuple(float(i) for i in range(1000)))
    talk.put(sid, 2.0)
    talk.update((1.0, 2.0))
    segments = list(Wire([1000] * 100).carry(talk))
    full = [i for i, s in enumerate(segments) if s.src == CLIENT and s.wire_length == 1000]
    del segments[full[3]]
    events = follow(segments)
    assert [(p.pv, p.value) for p in puts_in(events)] == [("WF", None), ("WF", 2.0)]
    assert [gap.lost for gap in gaps_in(events)] == [1000]


def test_segments_cut_by_the_capture_are_holes() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    for serial in range(5):
        talk.put(sid, str(serial) * 20, DbrType.STRING)
    segments = [segment._replace(payload=segment.payload[:96]) for segment in Wire([64] * 3 + [10_000] * 9).carry(talk)]
    events = follow(segments)
    assert [put.value for put in puts_in(events)] == ["0" * 20, "1" * 20, None]
    assert sum(gap.lost for gap in gaps_in(events)) == sum(s.wire_length - len(s.payload) for s in segments)


def test_a_long_string_is_text_where_the_field_is_asked_for_as_one() -> None:
    talk = Conversation().begin()
    for cid, name in enumerate(("M:SP.VAL$", 'M:SP.VAL${"dbnd":{"d":1}}', "M:SP")):
        sid = talk.create(name, cid=cid)
        talk.put(sid, b"a long text\0", DbrType.CHAR)
    values = [put.value for put in puts_in(follow(Wire(WHOLE).carry(talk)))]
    assert values == ["a long text", "a long text", b"a long text\0"]


def test_a_put_of_no_elements_is_an_empty_array() -> None:
    talk = Conversation().begin()
    talk.put(talk.create("WF", cid=1), (), notify=True)
    assert_exactly(follow(Wire(WHOLE).carry(talk)), talk)


def test_names_declared_after_the_first_channel_do_not_count() -> None:
    talk = Conversation(user="alice").begin()
    sid = talk.create("A", cid=1)
    talk.request(Command.CLIENT_NAME, b"root\0")
    talk.put(sid, 1.0)
    assert [put.user for put in puts_in(follow(Wire(WHOLE).carry(talk)))] == ["alice"]


def test_a_channel_that_the_server_takes_away_or_refuses() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    talk.take_away(sid)
    talk.ask("NO:SUCH", cid=2)
    talk.refuse(2)
    assert talk.create("B", cid=2) == sid
    talk.put(sid, 1.0)
    assert_exactly(follow(Wire(WHOLE).carry(talk)), talk)


def test_a_new_connection_on_the_same_ports_knows_nothing_of_the_old_one() -> None:
    tracker = PutTracker()
    old = Conversation(user="alice").begin()
    old.put(old.create("OLD", cid=1, sid=3), 1.0)
    new = Conversation(user="bob").begin()
    new.create("NEW", cid=9, sid=4)
    new.names[3], new.cids[3] = "?", 1
    new.put(3, 2.0)
    events: list[Event] = []
    for talk, isn, end in ((old, 5, False), (new, 900_000_000, True)):
        for segment in Wire(WHOLE, client_isn=isn, server_isn=isn + 1).carry(talk, end=end):
            events += tracker.feed(segment)
    assert [(put.pv, put.user) for put in puts_in(events)] == [("OLD", "alice"), (None, "bob")]
    assert gaps_in(events) == []


def test_a_new_connection_whose_syn_was_missed_knows_nothing_of_the_old_one() -> None:
    tracker = PutTracker()
    old = Conversation().begin()
    old.put(old.create("OLD", cid=1, sid=3), 1.0)
    again = Conversation()
    again.names[3], again.cids[3] = "?", 1
    again.put(3, 2.0)
    events: list[Event] = []
    for talk, isn, handshake in ((old, 5, True), (again, 900_000_000, False)):
        for segment in Wire(WHOLE, client_isn=isn, server_isn=isn).carry(talk, handshake=handshake, end=False):
            events += tracker.feed(segment)
    assert [put.pv for put in puts_in(events)] == ["OLD", None]
    assert [gap.unit for gap in gaps_in(events)] == [LossUnit.PACKETS]


def test_a_reset_ends_the_circuit() -> None:
    tracker = PutTracker()
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    segments = list(Wire(WHOLE).carry(talk, end=False))
    follow_up = segments[-1]
    for segment in segments:
        tracker.feed(segment)
    tracker.feed(Segment(0, SERVER, CLIENT, (follow_up.seq + follow_up.wire_length) & 0xFFFFFFFF, 0, RST, b"", 0))
    late = Conversation()
    late.names[sid], late.cids[sid] = "?", 1
    late.put(sid, 3.0)
    client_next = next(s for s in reversed(segments) if s.src == SERVER).ack
    wire = Wire(WHOLE, client_isn=client_next)
    events = [e for s in wire.carry(late, handshake=False, end=False) for e in tracker.feed(s)]
    assert [(put.pv, put.value) for put in puts_in(events)] == [(None, 3.0)]


def test_a_hole_is_waited_for_and_then_given_up() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    for serial in range(4):
        talk.put(sid, float(serial))
    segments = list(Wire([24] * 100).carry(talk, end=False))
    puts = segments[-4:]
    tracker = PutTracker(Limits(patience_ns=1_000_000_000))
    for segment in segments[:-4]:
        tracker.feed(segment)
    assert [p.value for p in puts_in(tracker.feed(puts[0]))] == [0.0]
    assert list(tracker.feed(puts[2])) == []
    assert list(tracker.expire(puts[2].time_ns + 900_000_000)) == []
    events = list(tracker.expire(puts[2].time_ns + 1_100_000_000))
    assert [gap.lost for gap in gaps_in(events)] == [24]
    assert [(p.value, p.time_ns) for p in puts_in(events)] == [(2.0, puts[2].time_ns)]
    assert [p.value for p in puts_in(tracker.feed(puts[3]))] == [3.0]
    # Too late: its place was given up.
    assert list(tracker.feed(puts[1])) == []


def test_a_reply_with_an_acknowledgement_ends_the_wait_at_once() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    talk.put(sid, 1.0)
    talk.put(sid, 2.0)
    talk.update(5.0)
    segments = list(Wire([24] * 100).carry(talk, end=False))
    lost = next(i for i, s in enumerate(segments) if bytes(s.payload).startswith(b"\0\x04"))
    update = next(i for i, s in enumerate(segments) if bytes(s.payload).startswith(b"\0\x01"))
    tracker = PutTracker()
    events: list[Event] = []
    for segment in segments[:lost] + segments[lost + 1 : update]:
        events += tracker.feed(segment)
    assert events == []
    events += tracker.feed(segments[update])
    assert [put.value for put in puts_in(events)] == [2.0]
    assert [gap.lost for gap in gaps_in(events)] == [24]


def test_what_is_no_channel_access_makes_no_events() -> None:
    tracker = PutTracker()
    rng = random.Random(1)
    ssh = Conversation()
    ssh.said = [(False, b"SSH-2.0-OpenSSH_9.2\r\n"), (True, b"SSH-2.0-client\r\n")]
    ssh.said += [(rng.random() < 0.5, rng.randbytes(500)) for _ in range(1000)]
    for handshake in (True, False):
        segments = list(Wire([500] * 10_000, server=Endpoint("10.1.2.1", 22)).carry(ssh, handshake=handshake))
        del segments[20], segments[30]
        assert [event for segment in segments for event in tracker.feed(segment)] == []
    assert tracker.counters.circuits == 0
    assert tracker.held <= 2 * Limits().search_bytes


def test_a_circuit_mistaken_for_something_else_is_found_again() -> None:
    rng = random.Random(2)
    talk = Conversation().begin()
    sid = talk.create("A", cid=1, sid=1)
    # The middle of an array larger than what is searched, then puts.
    talk.said = [(True, bytes(rng.randrange(1, 255) for _ in range(200_000)))]
    talk.put(sid, 1.0)
    assert [p.value for p in puts_in(follow(Wire([1448] * 1000).carry(talk, handshake=False)))] == []
    talk.update(0.0)
    talk.put(sid, 2.0)
    values = [p.value for p in puts_in(follow(Wire([1448] * 1000).carry(talk, handshake=False)))]
    assert values == [2.0]


def test_a_known_server_is_believed_from_its_first_message() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1, sid=1)
    talk.said.clear()
    talk.clear(sid, acknowledged=False)
    segments = list(Wire(WHOLE).carry(talk, handshake=False, end=False))
    known = PutTracker(is_server=lambda endpoint: endpoint == SERVER)
    unknown = PutTracker()
    for tracker in (known, unknown):
        for segment in segments:
            tracker.feed(segment)
    assert (known.counters.circuits, unknown.counters.circuits) == (1, 0)


def test_namespaces_keep_equal_addresses_apart() -> None:
    tracker = PutTracker()
    puts: list[PutEvent] = []
    streams = []
    for namespace in (1, 2):
        talk = Conversation().begin()
        talk.put(talk.create(f"NS:{namespace}", cid=1), float(namespace))
        streams.append([s._replace(namespace=namespace) for s in Wire(WHOLE).carry(talk)])
    for pair in zip(*streams):
        for segment in pair:
            puts += puts_in(tracker.feed(segment))
    assert [(put.pv, put.namespace) for put in puts] == [("NS:1", 1), ("NS:2", 2)]
    assert {put.pv_source for put in puts} == {Provenance.WIRE}


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.integers(0, 255), st.binary(max_size=100)), max_size=60)
)
@settings(max_examples=300)
def test_hostile_segments_do_no_harm(segments: list[tuple[bool, int, int, bytes]]) -> None:
    limits = Limits(memory=20_000, search_bytes=2_000, waiting_bytes=2_000, waiting_segments=8, circuits=4)
    tracker = PutTracker(limits)
    for time_ns, (from_client, seq, flags, payload) in enumerate(segments):
        src, dst = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        tracker.feed(Segment(time_ns, src, dst, seq, seq // 2, flags, payload, len(payload) + seq % 3))
        assert tracker.held <= 20_000
    tracker.close(1000)
    assert tracker.held == 0


@given(SEEDS)
@settings(max_examples=200)
def test_hostile_messages_do_no_harm(seed: int) -> None:
    rng = random.Random(seed)
    talk = random_conversation(rng, 30)
    for i, (from_client, message) in enumerate(talk.said):
        if rng.random() < 0.2:
            broken = bytearray(message)
            broken[rng.randrange(len(broken))] = rng.randrange(256)
            talk.said[i] = (from_client, bytes(broken))
    tracker = PutTracker(Limits(memory=100_000, message=10_000, channels=4, search_bytes=5_000))
    for segment in Wire(random_sizes(rng)).carry(talk):
        tracker.feed(segment)
        assert tracker.held <= 100_000
    tracker.close(0)
    assert tracker.held == 0


def test_memory_is_bounded_by_what_holds_most() -> None:
    limits = Limits(memory=1 << 20, message=1 << 30)
    tracker = PutTracker(limits)
    quiet = Conversation().begin()
    sid = quiet.create("QUIET", cid=1)
    for segment in Wire(WHOLE).carry(quiet, end=False):
        tracker.feed(segment)
    hog = Conversation().begin()
    hog.put(hog.create("HOG", cid=1), b"x" * (4 << 20), DbrType.CHAR)
    hog.put(0, 1.0)
    events: list[Event] = []
    for segment in Wire([60_000] * 1000, client=Endpoint("10.6.6.6", 6)).carry(hog, end=False):
        events += tracker.feed(segment)
        assert tracker.held <= limits.memory + 60_000
    assert [(put.value, put.count) for put in puts_in(events)] == [(None, 4 << 20), (1.0, 1)]
    assert sum(gap.lost for gap in gaps_in(events)) > 1 << 20
    before = len(quiet.said)
    quiet.put(sid, 5.0)
    last = [s for s in Wire(WHOLE).carry(quiet, end=False) if bytes(s.payload) == quiet.said[before][1]]
    assert [put.pv for put in puts_in(tracker.feed(last[0]))] == ["QUIET"]


def test_the_number_of_circuits_is_bounded() -> None:
    tracker = PutTracker(Limits(circuits=32))
    for port in range(1000, 1200):
        talk = Conversation().begin()
        for segment in Wire(WHOLE, client=Endpoint("10.1.2.7", port)).carry(talk, end=False):
            tracker.feed(segment)
    assert tracker.counters.circuits <= 32
    assert tracker.counters.evicted >= 168


def test_the_number_of_channels_of_a_circuit_is_bounded() -> None:
    talk = Conversation().begin()
    sids = [talk.create(f"C:{cid}", cid=cid) for cid in range(50)]
    for sid in sids:
        talk.put(sid, float(sid))
    puts = puts_in(follow(Wire(WHOLE).carry(talk), PutTracker(Limits(channels=20))))
    assert [put.pv for put in puts] == [None] * 30 + [f"C:{cid}" for cid in range(30, 50)]


def test_a_stream_that_derails_is_joined_again() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    talk.put(sid, 1.0)
    talk.said.append((True, b"\xff" * 333))
    for serial in range(5):
        talk.put(sid, float(serial))
    events = follow(Wire([100] * 100).carry(talk))
    assert [put.value for put in puts_in(events)] == [1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    assert sum(gap.lost for gap in gaps_in(events)) == 333


def test_syn_data_counts_from_the_next_number() -> None:
    version = encode_message(Command.VERSION, count=13)
    tracker = PutTracker()
    tracker.feed(Segment(0, CLIENT, SERVER, 99, 0, SYN, b"", 0))
    tracker.feed(Segment(0, SERVER, CLIENT, 9, 100, SYN | ACK, b"", 0))
    tracker.feed(Segment(0, CLIENT, SERVER, 100, 10, ACK, version, 16))
    assert tracker.counters.circuits == 1
    assert tracker.counters.duplicates == 0
