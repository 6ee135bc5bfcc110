"""CO-RE: what a program was compiled to know about the kernel's types, replaced by what is true of this kernel.

After ``tools/lib/bpf/relo_core.c`` of Linux 6.18, which runs in the kernel and in libbpf alike.
"""

from pybpf.objfile.core.relocate import CoreResolver, Outcome, patch

__all__ = ["CoreResolver", "Outcome", "patch"]
