"""The only door to the system: bpf(2), perf_event_open(2), process memory, namespaces, and what this kernel can do.

One module per concern: :mod:`~pybpf.kernel.map_ops`, :mod:`~pybpf.kernel.prog_ops`, :mod:`~pybpf.kernel.link_ops`,
:mod:`~pybpf.kernel.info`, :mod:`~pybpf.kernel.perf_event`, :mod:`~pybpf.kernel.process`,
:mod:`~pybpf.kernel.namespace`, :mod:`~pybpf.kernel.features`. Everything that owns a descriptor hands it out as an
:class:`~pybpf.kernel.fd.OwnedFd`.
"""
