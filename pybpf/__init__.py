"""An eBPF toolkit in pure Python.

Programs are written in a small Python language, compiled in-process and attached to packets and to functions.
"""
