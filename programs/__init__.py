"""The BPF programs of epicsmon, one file each, written in the language of pybpf."""
