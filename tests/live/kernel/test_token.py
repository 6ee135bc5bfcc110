"""A process in a user namespace of its own makes maps and loads programs by a token that the test delegates."""

from __future__ import annotations

import ctypes
import os
import socket

import pytest

from pybpf.errors import KernelError, PermissionDenied
from pybpf.kernel.constants import ProgramType
from pybpf.kernel.pin_ops import bpf_file_systems
from pybpf.kernel.prog_ops import prog_load
from pybpf.kernel.token import token_create
from pybpf.maps import HashMap, LpmTrie
from pybpf.maps.lpm_trie import Ipv4Prefix
from pybpf.types import u32, u64
from tests.support.tiny_programs import return_value

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432  # one number on all processors
SET_STRING, CREATE = 1, 6
LIBC = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> int:
    result = int(LIBC.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def in_user_namespace(wire: socket.socket) -> str:
    """The child: give the parent a file system context of this namespace, get back what it mounted."""
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        return f"skip: unshare: {os.strerror(ctypes.get_errno())}"
    wire.send(b"u")
    wire.recv(1)  # the ids are mapped
    context = call(FSOPEN, b"bpf", 0)
    socket.send_fds(wire, [b"f"], [context])
    said, (mounted,), _, _ = socket.recv_fds(wire, 100, 1)
    if said != b"m":
        return f"skip: {said.decode()}"
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
    without = "allowed"
    try:
        LpmTrie(key=Ipv4Prefix, value=u32, max_entries=1).create().close()
    except PermissionDenied:
        without = "denied"
    with token_create(root) as token:
        with LpmTrie(key=Ipv4Prefix, value=u32, max_entries=1).create(token=token) as routes:
            routes[Ipv4Prefix.of("10.0.0.0/8")] = 7
            found = routes.lookup(Ipv4Prefix.of("10.1.1.1"))
        with HashMap(key=u32, value=u64, max_entries=1).create(token=token) as table:
            typed = table.info().btf_value_type_id > 0
        with prog_load(ProgramType.XDP, return_value(2), token=token):
            loaded = True
    return f"{without} {found} {typed} {loaded}"


def delegate(wire: socket.socket, child: int) -> None:
    """The parent: map the ids, mount the file system with everything delegated, hand it over."""
    wire.recv(1)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    wire.send(b"g")
    _, (context,), _, _ = socket.recv_fds(wire, 1, 1)
    try:
        for option in (b"delegate_cmds", b"delegate_maps", b"delegate_progs", b"delegate_attachs"):
            call(FSCONFIG, context, SET_STRING, option, b"any", 0)
        call(FSCONFIG, context, CREATE, None, None, 0)
        mounted = call(FSMOUNT, context, 0, 0)
        socket.send_fds(wire, [b"m"], [mounted])
        os.close(mounted)
    except OSError as error:
        socket.send_fds(wire, [f"delegate: {error}".encode()], [context])
    finally:
        os.close(context)


def test_a_token_stands_in_for_capabilities() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            try:
                theirs.send(b"=" + in_user_namespace(theirs).encode())
            except BaseException as error:  # noqa: BLE001 - the parent judges it
                theirs.send(b"=" + repr(error).encode())
            finally:
                os._exit(0)
        ours.settimeout(20)
        first = ours.recv(1, socket.MSG_PEEK)
        if first == b"u":
            delegate(ours, child)
        answer = ours.recv(1000).decode()[1:]
        os.waitpid(child, 0)
    if answer.startswith("skip"):
        pytest.skip(answer)
    assert answer == "denied 7 True True"


def test_where_capabilities_count_there_is_no_token() -> None:
    mounted = bpf_file_systems()
    if not mounted:
        pytest.skip("needs a BPF file system: mount -t bpf bpf /sys/fs/bpf")
    with pytest.raises(KernelError, match=r"create a BPF token: .*; "):
        token_create(mounted[0])
