"""What other tools see of our maps: the names of types and fields, by BTF."""

from __future__ import annotations

import errno
import json
import subprocess
from typing import Any

import pytest

from pybpf.btf import BtfBuilder
from pybpf.errors import KernelError
from pybpf.hooks import socket_filter
from pybpf.kernel.prog_ops import btf_load
from pybpf.lang import SkBuff
from pybpf.maps import Array, HashMap, Ipv4Prefix, LpmTrie, PerCpuHashMap, Queue, TaskStorage
from pybpf.maps.type_info import TypeUse
from pybpf.object import BpfObject
from pybpf.types import Struct, array, byte_array, u16be, u32, u64


class Frame(Struct):
    address: u64
    port: u16be


class Call(Struct):
    record: u64
    comm: bytes = byte_array(4)
    frames: list[Frame] = array(Frame, 2)


class Counted(BpfObject):
    calls = HashMap(key=u32, value=Call, max_entries=4)

    @socket_filter
    def ignore(self, ctx: SkBuff) -> int:
        return 0


def dump(identifier: int) -> Any:
    command = ["bpftool", "-j", "map", "dump", "id", str(identifier)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.needs("bpftool")
def test_bpftool_prints_the_fields_of_a_loaded_object() -> None:
    with Counted().load() as counted:
        counted.calls[7] = Call(record=1, comm=b"abcd", frames=[Frame(address=5, port=80), Frame(address=6, port=443)])
        (element,) = dump(counted.calls.info().id)
    assert element["formatted"]["key"] == 7
    value = element["formatted"]["value"]
    assert value["record"] == 1
    assert [frame["address"] for frame in value["frames"]] == [5, 6]
    assert len(value["comm"]) == 4


@pytest.mark.needs("bpftool")
@pytest.mark.parametrize("kind", [HashMap, PerCpuHashMap])
def test_bpftool_prints_the_fields_of_a_map_alone(kind: type[HashMap[int, Call]]) -> None:
    with kind(key=u32, value=Call, max_entries=4).create("calls") as calls:
        assert calls.info().btf_id
        assert calls.info().btf_value_type_id
        assert dump(calls.info().id) == []


@pytest.mark.needs("bpftool")
def test_bpftool_prints_prefixes() -> None:
    with LpmTrie(key=Ipv4Prefix, value=u32, max_entries=2).create() as routes:
        routes[Ipv4Prefix.of("10.0.0.0/8")] = 1
        (element,) = dump(routes.info().id)
    assert element["formatted"]["key"]["length"] == 8


def test_storage_carries_its_types_as_the_kernel_demands() -> None:
    with TaskStorage(value=Call).create() as storage:
        assert storage.info().btf_key_type_id
        assert storage.info().btf_value_type_id


def test_a_kind_that_takes_no_types_is_made_without() -> None:
    with Queue(value=Call, max_entries=1).create() as queue:
        assert queue.info().btf_id == 0


class DescribedQueue(Queue[Call]):
    """The kernel knows types for maps with keys, and refuses them for a queue."""

    type_use = TypeUse.OPTIONAL


def test_where_the_kernel_refuses_types_the_map_is_made_without() -> None:
    with DescribedQueue(value=Call, max_entries=1).create() as queue:
        assert queue.info().btf_id == 0
        queue.push(Call(record=1))
        popped = queue.pop()
    assert popped is not None
    assert popped.record == 1


def test_a_refusal_for_other_reasons_stays_one() -> None:
    with pytest.raises(KernelError) as caught:
        HashMap(key=u32, value=Call, max_entries=0).create()
    assert caught.value.errno == errno.EINVAL


def test_a_name_that_c_does_not_know_costs_the_names_and_not_the_map() -> None:
    strange = type("Größe", (Struct,), {"__annotations__": {"wert": u32}, "__module__": __name__})
    with Array(value=strange, max_entries=1).create() as values:
        assert values.info().btf_id == 0


def test_types_of_the_callers_own() -> None:
    builder = BtfBuilder()
    number = builder.int_("unsigned int", 4)
    with btf_load(builder.to_bytes()) as btf:
        live = Array(value=u32, max_entries=1).create(btf_fd=btf, btf_key_type_id=number, btf_value_type_id=number)
    with live as values:
        assert (values.info().btf_key_type_id, values.info().btf_value_type_id) == (number, number)
