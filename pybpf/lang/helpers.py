"""BPF helpers as Python functions with the kernel's signatures (``include/uapi/linux/bpf.h``, ``enum bpf_func_id``).

``Memory`` parameters take anything that has an address: a struct on the stack, a map value, a record of a ring, a byte
array inside of one. A wrong argument is a :class:`~pybpf.lang.errors.CompileError`. None of these changes the probed
process: helpers that write to user memory, send signals or override returns are not here on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybpf.errors import OutsideProgram
from pybpf.lang.contexts import SkBuff
from pybpf.lang.surface import helper, kfunc
from pybpf.types import s64, u32, u64

if TYPE_CHECKING:
    from typing import TypeAlias

    Memory: TypeAlias = Any
    AnyContext: TypeAlias = Any
else:

    class Memory:
        """A parameter that takes an address."""

    class AnyContext:
        """A parameter that takes the program's context, of whatever type."""


@helper(4, since="4.1")
def probe_read(destination: Memory, size: u32, address: u64) -> s64:
    """Copy ``size`` bytes from kernel or user memory; 0, or -EFAULT with ``destination`` zeroed."""
    raise OutsideProgram("pybpf.lang", "probe_read")


@helper(5, since="4.1")
def ktime_get_ns() -> u64:
    """CLOCK_MONOTONIC in nanoseconds."""
    raise OutsideProgram("pybpf.lang", "ktime_get_ns")


@helper(7, since="4.1")
def get_prandom_u32() -> u32:
    """A pseudo-random number."""
    raise OutsideProgram("pybpf.lang", "get_prandom_u32")


@helper(8, since="4.1")
def get_smp_processor_id() -> u32:
    """The number of the CPU that runs the program."""
    raise OutsideProgram("pybpf.lang", "get_smp_processor_id")


@helper(14, since="4.2")
def get_current_pid_tgid() -> u64:
    """The process (tgid, what user space calls the pid) in the upper, the thread in the lower 32 bits."""
    raise OutsideProgram("pybpf.lang", "get_current_pid_tgid")


@helper(15, since="4.2")
def get_current_uid_gid() -> u64:
    """The group id in the upper, the user id in the lower 32 bits."""
    raise OutsideProgram("pybpf.lang", "get_current_uid_gid")


@helper(16, since="4.2")
def get_current_comm(destination: Memory, size: u32) -> s64:
    """Copy the thread's name (at most 16 bytes, NUL included); 0 or a negative errno."""
    raise OutsideProgram("pybpf.lang", "get_current_comm")


@helper(26, since="4.5")
def skb_load_bytes(ctx: SkBuff, offset: u32, destination: Memory, size: u32) -> s64:
    """Copy ``size`` bytes of the packet; 0, or -EFAULT past its end. ``size`` must be known to be positive."""
    raise OutsideProgram("pybpf.lang", "skb_load_bytes")


@helper(112, since="5.5")
def probe_read_user(destination: Memory, size: u32, address: u64) -> s64:
    """Copy ``size`` bytes of user memory; 0, or -EFAULT with ``destination`` zeroed when a page is not resident."""
    raise OutsideProgram("pybpf.lang", "probe_read_user")


@helper(113, since="5.5")
def probe_read_kernel(destination: Memory, size: u32, address: u64) -> s64:
    """Copy ``size`` bytes of kernel memory; 0, or -EFAULT with ``destination`` zeroed."""
    raise OutsideProgram("pybpf.lang", "probe_read_kernel")


@helper(114, since="5.5")
def probe_read_user_str(destination: Memory, size: u32, address: u64) -> s64:
    """Copy a NUL-terminated string of user memory, cut at ``size``; the length with its NUL, or -EFAULT."""
    raise OutsideProgram("pybpf.lang", "probe_read_user_str")


@helper(125, since="5.8")
def ktime_get_boot_ns() -> u64:
    """CLOCK_BOOTTIME in nanoseconds: goes on while the machine sleeps."""
    raise OutsideProgram("pybpf.lang", "ktime_get_boot_ns")


@helper(174, since="5.15")
def get_attach_cookie(ctx: AnyContext) -> u64:
    """The number given when this program was attached to this site."""
    raise OutsideProgram("pybpf.lang", "get_attach_cookie")


@kfunc("bpf_session_is_return", since="6.13")
def session_is_return() -> bool:
    """Whether a session program runs at the return of the function.

    Where sessions are missing the program is attached twice, and this folds to a constant in each copy.
    """
    raise OutsideProgram("pybpf.lang", "session_is_return")
