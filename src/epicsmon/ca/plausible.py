"""Whether 16 bytes look like a Channel Access header: how a stream joined in its middle finds its messages again.

Every command is held to what Base, caproto and CAJ really send over TCP (rsrv/camessage.c, ca/client/tcpiiu.cpp), and
to the padding of payloads to 8. Runs of zeros, text and arrays of numbers do not pass: an all-zero header would be a
VERSION of minor 0, which nobody sends.
"""

from __future__ import annotations

from enum import Enum

from epicsmon.ca.commands import Command
from epicsmon.ca.dbr import LAST_TYPE, consistent
from epicsmon.ca.header import EXTENDED_MARK, EXTENDED_SIZE, EXTENSION, SHORT, SHORT_SIZE, Buffer

MAX_TEXT = 4096
"""The longest payload believed of a name, in bytes: 60 characters of record, the rest for filters in JSON."""

FIRST_COMMANDS = frozenset(
    (Command.VERSION, Command.CLIENT_NAME, Command.HOST_NAME, Command.CREATE_CHAN, Command.SEARCH, Command.ECHO)
)
"""What the first message of a circuit may be; nearly always VERSION."""

_BARE = frozenset((Command.EVENTS_OFF, Command.EVENTS_ON, Command.READ_SYNC, Command.ECHO))
_VALUES = frozenset((Command.EVENT_ADD, Command.READ, Command.READ_NOTIFY, Command.WRITE, Command.WRITE_NOTIFY))
_NAMES = frozenset((Command.CLIENT_NAME, Command.HOST_NAME))
_ENDS = frozenset((Command.CREATE_CH_FAIL, Command.SERVER_DISCONN))
_SEARCHES = frozenset((Command.SEARCH, Command.NOT_FOUND))


AGREE = 3
"""So many headers in a row are no accident."""


class Verdict(Enum):
    """What a chain of headers proves."""

    MESSAGES = "messages"
    OPEN = "open"
    BROKEN = "broken"


def plausible(command: int, size: int, data_type: int, count: int, p1: int, p2: int) -> bool:
    """Whether a message over TCP may have this header, from either side."""
    if size & 7:
        return False
    if command in _VALUES:
        return _plausible_value(command, size, data_type, count)
    if command == Command.VERSION:
        # The server of caproto answers with a parameter 1 of 1; everybody else sends zeros.
        return size == 0 and data_type <= 99 and 1 <= count <= 255 and p1 <= 99 and p2 == 0
    if command == Command.CREATE_CHAN:
        if size:
            return size <= MAX_TEXT and data_type == count == 0 and p2 <= 255
        return data_type <= 6
    if command == Command.EVENT_CANCEL:
        return size == 0 and data_type <= LAST_TYPE
    if command in _SEARCHES:
        return size <= MAX_TEXT
    if command == Command.ERROR:
        return SHORT_SIZE <= size <= MAX_TEXT
    if data_type or count:
        return False
    if command in _BARE:
        return size == p1 == p2 == 0
    if command in _NAMES:
        return 8 <= size <= MAX_TEXT and p1 == p2 == 0
    if command == Command.CLEAR_CHANNEL:
        return size == 0
    if command == Command.ACCESS_RIGHTS:
        return size == 0 and p2 <= 3
    return command in _ENDS and size == p2 == 0


def _plausible_value(command: int, size: int, data_type: int, count: int) -> bool:
    if data_type > LAST_TYPE:
        return False
    if command == Command.EVENT_ADD and size == 16:
        return True
    if size == 0:
        return command != Command.WRITE or count == 0
    return consistent(data_type, count, size)


def follow(data: Buffer, offset: int, trusted: bool) -> Verdict:
    """Follow the headers from `offset`: MESSAGES when they cannot be an accident, OPEN when more data must tell.

    Three headers in a row agree; so do fewer when they end exactly where the data does: two, or one that carries a
    value whose size, type and count fit, or any one when the place is `trusted` to be the beginning of a message.
    """
    headers = values = 0
    total = len(data)
    while total - offset >= SHORT_SIZE:
        command, size, data_type, count, p1, p2 = SHORT.unpack_from(data, offset)
        head = SHORT_SIZE
        if size == EXTENDED_MARK:
            if total - offset < EXTENDED_SIZE:
                return Verdict.OPEN
            size, count = EXTENSION.unpack_from(data, offset + SHORT_SIZE)
            head = EXTENDED_SIZE
        if not plausible(command, size, data_type, count, p1, p2):
            return Verdict.BROKEN
        headers += 1
        if headers == AGREE:
            return Verdict.MESSAGES
        values += size > 0 and command in _VALUES
        offset += head + size
    if offset == total and (headers >= 2 or values or (headers and trusted)):
        return Verdict.MESSAGES
    return Verdict.OPEN


def first_plausible(data: Buffer) -> bool | None:
    """Whether a circuit can begin with these bytes; None when there are too few to tell."""
    if len(data) < SHORT_SIZE:
        return None
    fields: tuple[int, int, int, int, int, int] = SHORT.unpack_from(data)
    return fields[0] in FIRST_COMMANDS and plausible(*fields)
