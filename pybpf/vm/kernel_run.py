"""The same through the kernel: a program on a piece of memory, by BPF_PROG_TEST_RUN (4.12) as an XDP program.

The program becomes a function behind a few instructions that put the packet's address in r1 and its length in r2, after
the check that the verifier wants, and that store all 64 bits of r0 in a map, as a test run gives 32.
"""

from __future__ import annotations

from pybpf.asm import (
    R0,
    R1,
    R2,
    R6,
    JumpOp,
    Size,
    add,
    bind,
    call_function,
    decode,
    encode,
    exit_,
    jump_if,
    load,
    load_map_value,
    mov,
    store,
)
from pybpf.asm.assembler import assemble
from pybpf.kernel.constants import ProgramType
from pybpf.kernel.prog_ops import prog_load, prog_test_run
from pybpf.maps import Array
from pybpf.types import u64

SMALLEST_PACKET = 14
_NO_ROOM = 1


def run_in_kernel(program: bytes, memory: bytes = b"") -> int:
    """Load and run ``program`` with r1 = ``memory`` (0 when it is empty) and r2 = its length: r0, without sign.

    Memory shorter than an Ethernet header is followed by zeros that the program may not reach.

    Raises:
        AsmError: these are no instructions.
        ProgramRejected: the verifier refuses it.
        KernelError, PermissionDenied: the kernel refuses otherwise.
    """
    instructions = decode(program)
    if not memory:
        arguments = [mov(R1, 0), mov(R2, 0)]
    else:
        # A register that the function cannot see, r6 here, takes the end of the memory.
        arguments = [
            load(Size.W, R2, R1, 4),
            load(Size.W, R1, R1, 0),
            mov(R6, R1),
            add(R6, len(memory)),
            jump_if(JumpOp.LE, R6, R2, "fits"),
            mov(R0, _NO_ROOM),
            exit_(),
            mov(R2, len(memory)).labelled("fits"),
        ]
    first = instructions[0].labelled("program") if instructions else exit_().labelled("program")
    frame = [
        *arguments,
        call_function("program"),
        load_map_value(R1, "result"),
        store(Size.DW, R1, 0, R0),
        mov(R0, 0),
        exit_(),
        first,
        *instructions[1:],
    ]
    with Array(value=u64, max_entries=1).create("result") as result:
        bound = bind(assemble(frame), lambda reference: result.fileno())
        with prog_load(ProgramType.XDP, encode(bound), name="vm") as loaded:
            prog_test_run(loaded, memory.ljust(SMALLEST_PACKET, b"\0"))
        return result[0]
