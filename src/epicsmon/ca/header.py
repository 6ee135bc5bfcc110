"""The header that begins every Channel Access message, in its short and its extended form.

Short, 16 bytes::

    command u16 | payload_size u16 | data_type u16 | data_count u16 | parameter1 u32 | parameter2 u32

Extended, 24 bytes: payload_size is 0xffff, and payload_size u32, data_count u32 follow. All integers are big-endian.
Source: EPICS Base caProto.h (caHdr), rsrv/camessage.c and ca/client/comQueSend.cpp; extended since CA 4.9.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Union

from epicsmon.ca.commands import Command

Buffer = Union[bytes, bytearray, memoryview]
"""What the decoders read from."""

SHORT = struct.Struct(">HHHHII")
EXTENSION = struct.Struct(">II")
SHORT_SIZE = SHORT.size
EXTENDED_SIZE = SHORT.size + EXTENSION.size
EXTENDED_MARK = 0xFFFF


@dataclass(frozen=True)
class Header:
    """One header: `payload_size` and `data_count` are the real ones, whichever form carried them.

    `extended` forces the long form; it is set by `decode` when the bytes had that form.
    """

    command: int
    payload_size: int = 0
    data_type: int = 0
    data_count: int = 0
    parameter1: int = 0
    parameter2: int = 0
    extended: bool = False

    @property
    def size(self) -> int:
        """The number of bytes that the header itself takes: 16 or 24."""
        return EXTENDED_SIZE if self.extended else SHORT_SIZE

    def encode(self) -> bytes:
        """The bytes of the header; the long form when it is asked for or needed. Raises struct.error out of range."""
        if self.extended or self.payload_size >= EXTENDED_MARK or self.data_count >= EXTENDED_MARK:
            return SHORT.pack(
                self.command, EXTENDED_MARK, self.data_type, 0, self.parameter1, self.parameter2
            ) + EXTENSION.pack(self.payload_size, self.data_count)
        return SHORT.pack(
            self.command, self.payload_size, self.data_type, self.data_count, self.parameter1, self.parameter2
        )

    @classmethod
    def decode(cls, data: Buffer, offset: int = 0) -> Header | None:
        """The header at `offset`; None when the bytes end before it does."""
        if len(data) - offset < SHORT_SIZE:
            return None
        command, payload_size, data_type, data_count, parameter1, parameter2 = SHORT.unpack_from(data, offset)
        if payload_size != EXTENDED_MARK:
            return cls(command, payload_size, data_type, data_count, parameter1, parameter2)
        if len(data) - offset < EXTENDED_SIZE:
            return None
        payload_size, data_count = EXTENSION.unpack_from(data, offset + SHORT_SIZE)
        return cls(command, payload_size, data_type, data_count, parameter1, parameter2, True)


def padded(size: int) -> int:
    """`size` rounded up to a multiple of 8, as every payload is."""
    return (size + 7) & ~7


def encode_message(
    command: Command, payload: bytes = b"", *, data_type: int = 0, count: int = 0, p1: int = 0, p2: int = 0
) -> bytes:
    """A whole message: the header, the payload, and zeros up to a multiple of 8."""
    size = padded(len(payload))
    return Header(command, size, data_type, count, p1, p2).encode() + payload.ljust(size, b"\0")
