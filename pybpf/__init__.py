"""An eBPF toolkit in pure Python: programs written in a small Python language, compiled, loaded and attached in-process."""
