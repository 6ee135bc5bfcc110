from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ioc import process
from epicsmon.ioc.environment import read_environment
from epicsmon.ioc.errors import ProcessGone, UnreadableMemory
from epicsmon.ioc.maps import MappedFile, Mapping, open_path, parse_maps, read_maps
from epicsmon.ioc.memory import MemoryView
from epicsmon.ioc.process import ProcessIdentity, ioc_name, parse_environment, read_stat
from epicsmon.ioc.version import base_version
from tests.support.iocimage import BytesMemory

MAPS = b"""\
55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 131 /opt/ioc/bin/softIoc
55d0c0a01000-55d0c0a02000 r-xp 00001000 08:01 131                        /opt/ioc/bin/softIoc
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 r--p 00000000 fd:0a 77                         /lib/libdbCore.so.7.0 (deleted)
7f0000001000-7f0000002000 r-xp 00001000 fd:0a 77                         /lib/libdbCore.so.7.0 (deleted)
7f0000003000-7f0000004000 r--p 00000000 fd:0a 78                         /lib/libdbCore.so.7.0
7f0000005000-7f0000006000 r--s 00000000 00:05 1024                       /dev/a name\\012with a newline
7f0000007000-7f0000008000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_mapped_files_are_told_apart_by_inode() -> None:
    ioc, deleted, replaced, odd = parse_maps(MAPS)
    assert ioc == MappedFile(
        "/opt/ioc/bin/softIoc",
        (8, 1),
        131,
        False,
        (
            Mapping(0x55D0C0A00000, 0x55D0C0A01000, 0, False),
            Mapping(0x55D0C0A01000, 0x55D0C0A02000, 0x1000, True),
        ),
    )
    assert ioc.code == ioc.mappings[1]
    assert ioc.name == "softIoc"
    assert (deleted.path, deleted.deleted, deleted.inode) == ("/lib/libdbCore.so.7.0", True, 77)
    assert deleted.device == (253, 10)
    assert (replaced.path, replaced.deleted, replaced.inode, replaced.code) == (deleted.path, False, 78, None)
    assert odd.path == "/dev/a name\nwith a newline"

LINES = [*MAPS.splitlines(True), b"\n", b"garbage\n", b"0-1 r-xp 0 0:0 1 /x\n"]


@given(st.lists(st.sampled_from(LINES), max_size=20))
def test_any_lines_parse(lines: list[bytes]) -> None:
    for file in parse_maps(b"".join(lines)):
        assert file.path.startswith("/")
        assert file.mappings


@given(st.binary(max_size=300))
def test_any_bytes_parse(text: bytes) -> None:
    parse_maps(text)


def test_a_process_maps_its_executable() -> None:
    files = parse_maps(read_maps(os.getpid()))
    executable = os.stat(sys.executable)
    assert [f.inode for f in files if f.inode == executable.st_ino and f.code is not None] == [executable.st_ino]


def test_processes_that_are_not_there() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessGone):
        read_maps(child.pid)
    with pytest.raises(ProcessGone):
        read_stat(child.pid)
    assert not ProcessIdentity(child.pid, 1).is_running
    assert process.read_argv(child.pid) == ()
    assert process.read_cwd(child.pid) is None
    assert process.namespace_inode(child.pid) is None
    assert process.read_initial_environment(child.pid) == {}


def test_a_deleted_file_is_still_reached_by_its_mapping_and_never_by_its_path(tmp_path: Path) -> None:
    library = tmp_path / "libm.so"
    libm = next(f.path for f in parse_maps(read_maps(os.getpid())) if f.name.startswith("libc.so"))
    library.write_bytes(Path(libm).read_bytes())
    code = "import ctypes,sys; ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        [file] = [f for f in parse_maps(read_maps(child.pid)) if f.name == "libm.so"]
        inode = library.stat().st_ino
        path = open_path(child.pid, file)
        assert path is not None
        assert os.stat(path).st_ino == inode
        library.unlink()
        library.write_bytes(b"another file at the same place")
        [file] = [f for f in parse_maps(read_maps(child.pid)) if f.inode == inode]
        assert file.deleted
        path = open_path(child.pid, file)
        if path is not None:
            assert os.stat(path).st_ino == inode
        unmapped = MappedFile(str(library), file.device, inode, False, (Mapping(0, 4096, 0, True),))
        assert open_path(child.pid, unmapped) is None
        child.communicate(b"")


def test_without_the_right_to_follow_map_files_the_root_of_the_process_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def refuse_map_files(path: str) -> os.stat_result:
        if "/map_files/" in path:
            raise PermissionError(1, "Operation not permitted", path)
        return stat(path)

    executable = next(f for f in parse_maps(read_maps(os.getpid())) if f.inode == stat("/proc/self/exe").st_ino)
    monkeypatch.setattr(os, "stat", refuse_map_files)
    assert open_path(os.getpid(), executable) == f"/proc/{os.getpid()}/root{executable.path}"


def test_a_name_with_parentheses_does_not_confuse_stat() -> None:
    code = (
        "import ctypes,sys; ctypes.CDLL(None).prctl(15, b'a) R 1 (b', 0, 0, 0); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        stat = read_stat(child.pid)
        assert stat.comm == "a) R 1 (b"
        assert stat.threads == 1
        identity = ProcessIdentity(child.pid, stat.start_ticks)
        assert identity.is_running
        assert abs(identity.start_time_ns - time.time_ns()) < 60_000_000_000
        assert not ProcessIdentity(child.pid, stat.start_ticks - 1).is_running
        assert process.read_argv(child.pid)[1:] == ("-c", code)
        assert process.read_cwd(child.pid) == os.getcwd()
        assert process.namespace_inode(child.pid) == os.stat("/proc/self/ns/net").st_ino
        child.communicate(b"")


@pytest.mark.parametrize(
    ("environment", "argv", "cwd", "expected"),
    [
        ({"IOC": "iocvac1", "IOCNAME": "no"}, ("softIoc",), "/x/iocBoot/iocfoo", "iocvac1"),
        ({"IOC": "", "IOCNAME": "iocmag"}, ("softIoc",), "/", "iocmag"),
        ({}, ("bin/linux-x86_64/foo", "st.cmd"), "/opt/epics/foo/iocBoot/iocfoo", "iocfoo"),
        ({}, ("foo", "/opt/iocs/vacuum/st.cmd"), "/", "vacuum"),
        ({}, ("foo", "./st.cmd"), "/opt/iocs/magnets", "magnets"),
        ({}, ("foo", "-d", "a.db", "rf.cmd"), "/opt", "rf"),
        ({}, ("python3", "/srv/cryo_ioc.py"), None, "cryo_ioc"),
        ({}, ("softIoc", "-d", "a.db"), None, "softIoc"),
        ({}, (), None, "softIoc"),
    ],
)
def test_names_of_iocs(environment: dict[str, str], argv: tuple[str, ...], cwd: str | None, expected: str) -> None:
    assert ioc_name(environment, argv, cwd, "softIoc") == expected


def test_the_present_environment_is_read_from_memory() -> None:
    first, second = b"IOC=vac1\0", b"EPICS_CAS_SERVER_PORT=5070\0no equals sign\0IOC=twice\0"
    base = 0x1000
    heap = bytearray(4096)
    heap[256 : 256 + len(first)] = first
    heap[512 : 512 + len(second)] = second
    starts = [256, 512, 512 + second.index(b"no"), 512 + second.rindex(b"IOC")]
    pointers = [base + at for at in starts] + [0x99_0000, 0]
    heap[8 : 8 + 8 * len(pointers)] = b"".join(p.to_bytes(8, "little") for p in pointers)
    heap[0:8] = (base + 8).to_bytes(8, "little")
    view = MemoryView(BytesMemory({base: bytes(heap)}))
    assert read_environment(view, base) == {"IOC": "vac1", "EPICS_CAS_SERVER_PORT": "5070"}
    with pytest.raises(UnreadableMemory):
        read_environment(view, 0x99_0000)


def test_the_environment_of_this_process_through_environ() -> None:
    from epicsmon.ioc.memory import ProcessMemory

    libc = ctypes.CDLL(None)
    libc.setenv(b"EPICSMON_TEST_SET_LATER", b"yes", 1)
    try:
        address = ctypes.addressof(ctypes.c_void_p.in_dll(libc, "environ"))
        with ProcessMemory(os.getpid()) as memory:
            assert read_environment(MemoryView(memory), address)["EPICSMON_TEST_SET_LATER"] == "yes"
        assert "EPICSMON_TEST_SET_LATER" not in process.read_initial_environment(os.getpid())
    finally:
        libc.unsetenv(b"EPICSMON_TEST_SET_LATER")


def test_the_first_of_two_variables_counts() -> None:
    assert parse_environment([b"A=1", b"A=2", b"", b"B=", b"C=\xff=x"]) == {"A": "1", "B": "", "C": "\\xff=x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\0EPICS R3.15.9\0", "3.15.9"),
        (b"\0EPICS R3.14.12.8 $Date\0", "3.14.12.8"),
        (b"\0EPICS 7.0.10.1-DEV\0", "7.0.10.1-DEV"),
        (b"\0EPICS Version EPICS R7.0.3.1\0", "7.0.3.1"),
        (b"nothing", None),
    ],
)
@pytest.mark.parametrize("before", [0, (1 << 20) - 9, 1 << 20])
def test_versions_wherever_pieces_of_a_file_end(
    tmp_path: Path, text: bytes, expected: str | None, before: int
) -> None:
    file = tmp_path / "libCom.so"
    file.write_bytes(b"." * before + text)
    assert base_version(str(file)) == expected
    assert base_version(str(tmp_path / "none")) is None
