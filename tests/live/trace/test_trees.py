"""The tree of a chain against what the database says, its order against what TPRO prints."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from epicsmon.events import SpanKind
from tests.support.clients import CaClient
from tests.support.epics import RealIoc
from tests.support.tracing import Shape, Tracer, forward_chain, in_order, shape_of

TPRO = re.compile(r"dbProcess of (?:Active )?'(.*)'")


@dataclass
class Node:
    """A record of a generated database: by which links it processes which others."""

    name: str
    record_type: str
    inputs: list[Node] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)
    forward: list[Node] = field(default_factory=list)

    def record(self) -> str:
        """The record as a database file has it."""
        fields = ['field(TPRO, "1")']
        if self.record_type == "fanout":
            fields += [f'field(LNK{n}, "{node.name}")' for n, node in enumerate(self.outputs, 1)]
        elif self.record_type == "dfanout":
            fields += [f'field(OUT{letter}, "{node.name} PP")' for letter, node in zip("ABCDEFGH", self.outputs)]
        elif self.record_type == "calcout":
            fields += [f'field(OUT, "{node.name}.DISV PP")' for node in self.outputs]
        letters = "ABCDEFGHIJKL" if self.record_type in ("calc", "calcout") else ()
        fields += [f'field(INP{letter}, "{node.name} PP")' for letter, node in zip(letters, self.inputs)]
        fields += ['field(CALC, "1")'] if letters else []
        fields += [f'field(FLNK, "{node.name}")' for node in self.forward]
        return f'record({self.record_type}, "{self.name}") {{ {" ".join(fields)} }}'

    def shape(self) -> Shape:
        """What processing the record must look like: inputs first, then outputs, then the forward link."""
        outputs: list[Shape] = []
        for node in self.outputs:
            if self.record_type != "fanout":
                target = f"{node.name}.DISV" if self.record_type == "calcout" else f"{node.name}.VAL"
                outputs.append((f"dbPut {target}",))
            outputs.append(node.shape())
        inside = [node.shape() for node in self.inputs] + outputs + [node.shape() for node in self.forward]
        return (self.name, *inside)

    def walk(self) -> Iterator[Node]:
        """This record and all that it processes."""
        yield self
        for node in (*self.inputs, *self.outputs, *self.forward):
            yield from node.walk()


def grow(rng: random.Random, prefix: str, size: int) -> Node:
    """A tree of ``size`` records linked in every way that Base has for passive records; each is processed once."""
    numbers = iter(range(size))
    root = Node(f"{prefix}{next(numbers)}", rng.choice(["fanout", "calc", "calcout", "dfanout"]))
    nodes = [root]
    for number in numbers:
        parent = rng.choice(nodes)
        child = Node(f"{prefix}{number}", rng.choice(["calc", "calcout", "fanout", "dfanout", "calc"]))
        ways = [] if parent.forward else [parent.forward]
        if parent.record_type in ("calc", "calcout") and len(parent.inputs) < 12:
            ways.append(parent.inputs)
        room = {"fanout": 10, "dfanout": 8, "calcout": 1, "calc": 0}[parent.record_type]
        # A put through a calcout or a dfanout is to a field that any record has; only numbers may be put to VAL.
        if len(parent.outputs) < room and (parent.record_type != "dfanout" or child.record_type != "fanout"):
            ways.append(parent.outputs)
        if not ways:
            child.record_type = "calc"
            parent = next(node for node in nodes if not node.forward)
            ways = [parent.forward]
        rng.choice(ways).append(child)
        nodes.append(child)
    return root


def tpro_order(printed: str) -> list[str]:
    return [found[1] for line in printed.splitlines() if (found := TPRO.search(line))]


def test_the_tree_is_what_the_database_says_and_its_order_what_tpro_prints(make_ioc: Callable[..., RealIoc]) -> None:
    rng = random.Random(20)
    trees = [grow(rng, f"T{number}:", size) for number, size in enumerate((1, 2, 5, 12, 18, 25, 25))]
    database = "\n".join(node.record() for tree in trees for node in tree.walk())
    ioc = make_ioc(database)
    with Tracer(ioc) as tracer:
        for tree in trees:
            printed = ioc.shell(f'dbpf "{tree.name}.PROC" "1"')
            chain = tracer.chain(tree.name, SpanKind.PUT_FIELD)
            assert shape_of(chain) == (f"dbPutField {tree.name}.PROC", tree.shape()), tree.record()
            assert in_order(chain) == tpro_order(printed)
            for span in chain.spans:
                for child in chain.children(span):
                    assert span.start_ns < child.start_ns < child.end_ns < span.end_ns
                    assert child.parent_id == span.span_id
                ordered = chain.children(span)
                for before, after in zip(ordered, ordered[1:]):
                    assert before.end_ns < after.start_ns, "siblings come one after another"
        assert tracer.finish().lost == 0


ORDER = """
record(fanout, "O:fan") { field(LNK1, "O:a") field(LNK2, "O:b") field(LNK3, "O:c") field(FLNK, "O:d") }
record(calc, "O:a") { field(INPA, "O:in PP") field(CALC, "A+1") }
record(calc, "O:b") { field(CALC, "VAL+1") field(FLNK, "O:b2") }
record(calc, "O:b2") { field(CALC, "VAL+1") }
record(calc, "O:c") { field(CALC, "VAL+1") }
record(calc, "O:d") { field(CALC, "VAL+1") }
record(calc, "O:in") { field(CALC, "VAL+1") }
record(ao, "O:ao") { field(OUT, "O:target PP") field(FLNK, "O:c") }
record(ao, "O:npp") { field(OUT, "O:target NPP") }
record(longout, "O:target") { field(FLNK, "O:d") }
record(ao, "O:loop") { field(FLNK, "O:back") }
record(calc, "O:back") { field(CALC, "1") field(FLNK, "O:loop") }
"""


def test_fanouts_links_and_loops(make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]) -> None:
    ioc = make_ioc(ORDER)
    client = libca(ioc)
    client.connect("O:fan.PROC", "O:ao", "O:npp", "O:loop")
    with Tracer(ioc) as tracer:
        client.put("O:fan.PROC", 1)
        assert shape_of(tracer.chain("O:fan", SpanKind.PUT_FIELD)) == (
            "dbPutField O:fan.PROC",
            ("O:fan", ("O:a", ("O:in",)), ("O:b", ("O:b2",)), ("O:c",), ("O:d",)),
        )
        client.put("O:ao", 3)
        assert shape_of(tracer.chain("O:ao", SpanKind.PUT_FIELD)) == (
            "dbPutField O:ao.VAL",
            ("O:ao", ("dbPut O:target.VAL",), ("O:target", ("O:d",)), ("O:c",)),
        )
        client.put("O:npp", 4)
        assert shape_of(tracer.chain("O:npp", SpanKind.PUT_FIELD)) == (
            "dbPutField O:npp.VAL",
            ("O:npp", ("dbPut O:target.VAL",)),
        )
        # Base does not process a record that is active: the loop ends where it comes back.
        client.put("O:loop", 1)
        chain = tracer.chain("O:loop", SpanKind.PUT_FIELD)
        assert shape_of(chain) == ("dbPutField O:loop.VAL", ("O:loop", ("O:back", ("O:loop",))))
        inner = list(chain.walk())[-1][1]
        assert (inner.record, inner.active) == ("O:loop", True)
        assert tracer.finish().lost == 0


def test_a_put_with_notification_is_the_root_of_its_chain(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient], caproto: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(ORDER)
    with Tracer(ioc) as tracer:
        for client in (libca(ioc), caproto(ioc)):
            seen = len(tracer.events)
            client.put("O:ao", 6.5, notify=True)
            chain = tracer.chain("O:ao", SpanKind.PUT_NOTIFY, after=seen)
            assert shape_of(chain) == (
                "dbProcessNotify O:ao.VAL",
                ("O:ao", ("dbPut O:target.VAL",), ("O:target", ("O:d",)), ("O:c",)),
            )
            assert (chain.root.value, chain.root.thread) == (6.5, "CAS-client")
        assert tracer.finish().lost == 0


@pytest.mark.parametrize("length", [10, 62])
def test_a_long_chain_of_forward_links_is_followed_to_its_end(make_ioc: Callable[..., RealIoc], length: int) -> None:
    ioc = make_ioc(forward_chain(length))
    with Tracer(ioc) as tracer:
        ioc.put("L:0.PROC", "1")
        chain = tracer.chain("L:0", SpanKind.PUT_FIELD)
        assert in_order(chain) == [f"L:{number}" for number in range(length)]
        assert chain.depth == length + 1
        assert tracer.finish().lost == 0
