"""The command line of the toolkit, ``python -m pybpf``: one module a subcommand, each thin over the library."""
