"""Objects written: what this toolkit compiled, as a file for libbpf, bpftool and every loader that reads clang's."""

from pybpf.objfile.write.object import object_bytes, write_object

__all__ = ["object_bytes", "write_object"]
