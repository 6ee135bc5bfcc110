"""The command line; nothing is imported before a command needs it."""

from __future__ import annotations


def main() -> int:
    """The entry point of `epicsmon`: runs the command line and returns the exit code."""
    from epicsmon.cli.app import run_process

    return run_process()
