"""Operations as Python functions, made once from a line of text each and then specialised by their operands.

Writing a closure for each of the two hundred operations by hand would say the same thing two hundred times; a table of
expressions says it once, and what is made of it runs at the speed of a closure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

Registers = list[int]
"""r0 to r10. A register never written is None, so that Python's arithmetic refuses it without a check of ours."""

Operation = Callable[[Registers], int]
"""Does one instruction on the registers and gives the slot of the next one."""

UNSET = cast("int", None)

M32 = 0xFFFF_FFFF
M64 = 0xFFFF_FFFF_FFFF_FFFF
S32 = 1 << 31
S64 = 1 << 63

_NAMES: dict[str, Any] = {"M32": M32, "M64": M64, "S32": S32, "S64": S64}


@cache
def factory(body: str, *parameters: str) -> Callable[..., Operation]:
    """A function that takes ``parameters`` and gives the operation whose statements are ``body`` (on ``r``)."""
    lines = "\n        ".join(body.split("\n"))
    text = f"def make({', '.join(parameters)}):\n    def operation(r):\n        {lines}\n    return operation"
    names: dict[str, Any] = dict(_NAMES)
    exec(text, names)
    return cast("Callable[..., Operation]", names["make"])


def signed(value: int, bits: int) -> int:
    """The lowest ``bits`` of ``value`` as a number with sign."""
    sign = 1 << (bits - 1)
    return (value & (2 * sign - 1) ^ sign) - sign
