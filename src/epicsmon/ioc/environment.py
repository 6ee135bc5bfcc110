"""The environment variables of a running process as they are now, with what it has set since it started.

An IOC's start-up script sets most of what matters (epicsEnvSet), and /proc/PID/environ does not show it: that is the
memory the process was started with. The C library's `environ` leads to the present one.
"""

from __future__ import annotations

from epicsmon.ioc.errors import UnreadableMemory
from epicsmon.ioc.memory import MemoryView
from epicsmon.ioc.process import parse_environment

_MAX_VARIABLES = 4096
_MAX_LENGTH = 131_072
"""MAX_ARG_STRLEN, include/uapi/linux/binfmts.h: what execve takes for one variable."""


def read_environment(view: MemoryView, environ_variable: int) -> dict[str, str]:
    """The variables that the `char **environ` at this address leads to. Raises UnreadableMemory.

    Another thread may be changing it: a variable that cannot be read is left out.
    """
    entries: list[bytes] = []
    table = view.pointer(environ_variable)
    for index in range(_MAX_VARIABLES if table else 0):
        entry = view.pointer(table + 8 * index)
        if not entry:
            break
        try:
            entries.append(view.c_string(entry, _MAX_LENGTH))
        except UnreadableMemory:
            continue
    return parse_environment(entries)
