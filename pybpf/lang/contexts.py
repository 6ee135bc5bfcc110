"""The argument of a program, per kind of hook: what its attributes mean and where they lie."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pybpf.errors import OutsideProgram


@dataclass(frozen=True)
class ContextType:
    """Attributes of a context: name -> (offset, size) in bytes."""

    name: str
    attributes: dict[str, tuple[int, int]] = field(default_factory=dict)
    arguments: tuple[int, ...] = ()
    """Offsets of the integer arguments of a probed function, first to last."""
    methods: tuple[str, ...] = ()


# struct pt_regs of arch/x86/include/asm/ptrace.h: r15 at 0 up to ss at 160
_X86_64 = ContextType(
    "Registers",
    {"return_value": (80, 8), "instruction_pointer": (128, 8), "stack_pointer": (152, 8), "frame_pointer": (32, 8)},
    (112, 104, 96, 88, 72, 64),
    ("argument",),
)
# struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h: x0..x30, sp, pc
_AARCH64 = ContextType(
    "Registers",
    {"return_value": (0, 8), "instruction_pointer": (256, 8), "stack_pointer": (248, 8), "frame_pointer": (232, 8)},
    tuple(8 * index for index in range(8)),
    ("argument",),
)
# struct __sk_buff of include/uapi/linux/bpf.h
_SK_BUFF = ContextType(
    "SkBuff",
    {
        name: (4 * index, 4)
        for index, name in enumerate(
            (
                "len",
                "pkt_type",
                "mark",
                "queue_mapping",
                "protocol",
                "vlan_present",
                "vlan_tci",
                "vlan_proto",
                "priority",
                "ingress_ifindex",
                "ifindex",
                "tc_index",
            )
        )
    },
    methods=("u8", "u16", "u32"),
)


class Registers:
    """The registers of the probed thread (``struct pt_regs``), for kprobes and uprobes on x86-64 and aarch64."""

    if TYPE_CHECKING:
        return_value: int
        instruction_pointer: int
        stack_pointer: int
        frame_pointer: int

    def argument(self, index: int) -> int:
        """The integer argument number ``index`` (from 0) of the probed function; meaningful at its entry only."""
        raise OutsideProgram("Registers", "argument")


class SkBuff:
    """A packet (``struct __sk_buff``); offsets count from where its data starts for this hook.

    ``pkt_type`` is PACKET_HOST (0) ... PACKET_OUTGOING (4); ``protocol`` is in network byte order.
    """

    if TYPE_CHECKING:
        len: int
        pkt_type: int
        mark: int
        queue_mapping: int
        protocol: int
        vlan_present: int
        vlan_tci: int
        vlan_proto: int
        priority: int
        ingress_ifindex: int
        ifindex: int
        tc_index: int

    def u8(self, offset: int) -> int:
        """The byte at ``offset``. Reading past the packet ends the program with 0 (BPF_LD | BPF_ABS)."""
        raise OutsideProgram("SkBuff", "u8")

    def u16(self, offset: int) -> int:
        """The 16-bit integer in network order at ``offset``. Reading past the packet ends the program with 0."""
        raise OutsideProgram("SkBuff", "u16")

    def u32(self, offset: int) -> int:
        """The 32-bit integer in network order at ``offset``. Reading past the packet ends the program with 0."""
        raise OutsideProgram("SkBuff", "u32")


class RawContext:
    """A context of which the program reads nothing."""


_RAW = ContextType("RawContext")


def context_type(annotation: object, machine: str | None = None) -> ContextType | None:
    """The layout of a context class on ``machine`` (a ``platform.machine()``; by default this host's), if it is one."""
    if annotation is Registers:
        return _AARCH64 if (machine or platform.machine()) == "aarch64" else _X86_64
    if annotation is SkBuff:
        return _SK_BUFF
    return _RAW if annotation is RawContext else None
