"""A machine for BPF programs in Python: runs them in tests, without privilege, on any host, and says what is wrong.

    with run_in_vm(Packets()) as packets:
        packets.count(frame)
        assert packets.counts[6] == 1

    run(encode(program), memory)      # r1 = the memory, r2 = its length; gives r0

``python -m pybpf.vm`` does the latter on the command line, and is a plugin of the bpf_conformance suite.
"""

from pybpf.vm.fault import FaultKind, VmFault
from pybpf.vm.helpers import HELPERS
from pybpf.vm.machine import INSTRUCTION_LIMIT, Machine
from pybpf.vm.memory import Memory, Region
from pybpf.vm.objects import VmObject, VmProgram, run_in_vm, vm_map
from pybpf.vm.simple import run
from pybpf.vm.trace import trace_lines

__all__ = [
    "HELPERS",
    "INSTRUCTION_LIMIT",
    "FaultKind",
    "Machine",
    "Memory",
    "Region",
    "VmFault",
    "VmObject",
    "VmProgram",
    "run",
    "run_in_vm",
    "trace_lines",
    "vm_map",
]
