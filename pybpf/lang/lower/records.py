"""Records reserved in ring buffers: each is given back exactly once, and not touched afterwards.

The verifier insists on that too, but says it in its own words; only what it must refuse is refused here.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pybpf.lang import ir
from pybpf.lang.values import Pointer, Space

if TYPE_CHECKING:
    from pybpf.lang.lower.flow import Flow
    from pybpf.lang.lower.state import Lowering


def begin(lo: Lowering, register: ir.VReg) -> None:
    """``register`` gets a record, or None: what was known of the one it held before is past."""
    if lo.flow is not None:
        lo.flow.given_back.discard(register)


def tested(flow: Flow, pointer: Pointer) -> None:
    """On this way ``pointer`` is not None."""
    if pointer.space is Space.RING and isinstance(pointer.base, ir.VReg):
        flow.reserved.add(pointer.base)


def give_back(lo: Lowering, pointer: Pointer) -> None:
    """``pointer`` is submitted or discarded."""
    if lo.flow is None or not isinstance(pointer.base, ir.VReg):
        return
    if pointer.base in lo.flow.reserved:
        lo.flow.reserved.discard(pointer.base)
    else:
        # another name for one of them
        lo.flow.reserved.clear()
    lo.flow.given_back.add(pointer.base)


def check_use(lo: Lowering, node: ast.AST, pointer: Pointer) -> None:
    """Refuse a record that the program has given back."""
    if lo.flow is not None and pointer.base in lo.flow.given_back:
        name = getattr(node, "id", "the record")
        lo.error(
            node,
            f"{name!r} was submitted or discarded: it is no longer the program's",
            hint="do it last, when all fields are set",
        )


def check_return(lo: Lowering, node: ast.AST) -> None:
    """Refuse to end the program with a record in hand."""
    if lo.flow is not None and lo.flow.reserved:
        lo.error(
            node,
            "a reserved record is neither submitted nor discarded on this way",
            hint="call submit() or discard() of the ring before the return",
        )


def check_packet(lo: Lowering, node: ast.AST) -> None:
    """Refuse to read the packet with a record in hand: reading past its end ends the program."""
    if lo.flow is not None and lo.flow.reserved:
        lo.error(
            node,
            "reading past the packet would end the program with a reserved record",
            hint="read the packet before reserve(), or use skb_load_bytes()",
        )


def forget_at_head(flow: Flow, loop: ast.AST) -> None:
    """What holds at the head of a loop that may give records back."""
    if any(isinstance(child, ast.Call) for child in ast.walk(loop)):
        flow.reserved.clear()
    flow.given_back.clear()
