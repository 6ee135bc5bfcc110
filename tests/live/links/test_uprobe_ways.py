"""Every way to attach a uprobe, by force, on this kernel: both sides, cookies, many sites, one process, detaching."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pybpf.elf import ElfImage, plan_probe
from pybpf.errors import KernelError, UnsupportedFeature
from pybpf.kernel.info import link_ids, link_info, uprobe_multi_info
from pybpf.links import LinkKind, ProbeSide, UprobeMethod, attach_uprobe, uprobe_methods
from tests.support.probing import CountingPrograms, ProbedLibrary, needs_x86

pytestmark = [needs_x86, pytest.mark.needs("uprobes")]

NAMES = ("marked", "plain", "stepped")


@pytest.fixture
def library(tmp_path: Path) -> ProbedLibrary:
    return ProbedLibrary(tmp_path / "libprobed.so")


@pytest.fixture
def programs(method: UprobeMethod) -> Iterator[CountingPrograms]:
    with CountingPrograms(cookies=method is not UprobeMethod.PERF_IOCTL) as loaded:
        yield loaded


@pytest.fixture(params=list(UprobeMethod), ids=lambda method: method.value)
def method(request: pytest.FixtureRequest) -> UprobeMethod:
    """Each way that this kernel has."""
    here = uprobe_methods(ProbeSide.BOTH)
    if request.param not in here:
        pytest.skip(f"needs a kernel with {request.param.value}; here: {', '.join(m.value for m in here)}")
    return UprobeMethod(request.param)


def offsets_of(path: Path, *names: str) -> list[int]:
    with ElfImage.open(path) as image:
        return [plan_probe(image, name).offset for name in names]


def sides(method: UprobeMethod) -> list[ProbeSide]:
    return [ProbeSide.BOTH] if method is UprobeMethod.SESSION else list(ProbeSide)


def test_both_sides_see_every_call_with_its_argument_and_result(
    library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod
) -> None:
    for name in NAMES:
        programs.reset()
        offsets = offsets_of(library.path, name)
        with attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, force=method):
            assert library.call(name, 1000) == 1000 + library.adds[name]
            seen = programs.counts()
            assert (seen.entries, seen.returns) == (1, 1)
            assert (seen.argument, seen.result) == (1000, 1000 + library.adds[name])
            assert library.repeat(name, 500) == 1 + library.adds[name]
            seen = programs.counts()
            assert (seen.entries, seen.returns) == (501, 501)
            assert (seen.argument, seen.result) == (1, 1 + library.adds[name])


def test_a_return_probe_works_behind_endbr64(
    library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod
) -> None:
    with ElfImage.open(library.path) as image:
        site = plan_probe(image, "marked")
        assert (site.skipped, site.instruction) == (4, "push %rbp")
        symbol = image.symbol("marked")
    with attach_uprobe(programs, library.path, [site.offset], side=ProbeSide.BOTH, force=method):
        assert library.repeat("marked", 10_000) == 2
        seen = programs.counts()
    assert (seen.entries, seen.returns, seen.result) == (10_000, 10_000, 2)
    assert seen.address & 0xFFF == symbol.address + 4 & 0xFFF
    assert library.repeat("marked", 100) == 2


def test_one_side_alone(library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod) -> None:
    for side in sides(method):
        programs.reset()
        with attach_uprobe(programs, library.path, offsets_of(library.path, "plain"), side=side, force=method):
            library.repeat("plain", 7)
        seen = programs.counts()
        assert seen.entries == (0 if side is ProbeSide.RETURN else 7)
        assert seen.returns == (0 if side is ProbeSide.ENTRY else 7)


def test_each_site_has_its_cookie(library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod) -> None:
    cookies = [0x1111_2222_3333_4444, 2, 3]
    offsets = offsets_of(library.path, *NAMES)
    if method is UprobeMethod.PERF_IOCTL:
        with pytest.raises(UnsupportedFeature, match="carries no cookies"):
            attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, cookies=cookies, force=method)
        return
    with attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, cookies=cookies, force=method):
        for name, cookie in zip(NAMES, cookies):
            library.call(name, 1)
            seen = programs.counts()
            assert (seen.entry_cookie, seen.return_cookie) == (cookie, cookie)


def test_one_process_alone(library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod) -> None:
    offsets = offsets_of(library.path, "plain")
    script = (
        "import ctypes, os, sys; f = ctypes.CDLL(sys.argv[1]).plain\n"
        "os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
        "for line in sys.stdin:\n    [f(1) for _ in range(int(line))]; print(flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(library.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def other(count: int) -> None:
            print(count, file=child.stdin)
            child.stdout.readline()  # type: ignore[union-attr]  # asserted above

        other(1)
        with attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, pid=os.getpid(), force=method):
            other(50)
            thread = threading.Thread(target=library.repeat, args=("plain", 5))
            thread.start()
            thread.join()
            library.repeat("plain", 3)
            seen = programs.counts()
            assert (seen.entries, seen.returns) == (8, 8)
        programs.reset()
        with attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, pid=child.pid, force=method):
            other(50)
            library.repeat("plain", 3)
            seen = programs.counts()
            assert (seen.entries, seen.returns) == (50, 50)
        programs.reset()
        with attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, force=method):
            other(50)
            library.repeat("plain", 3)
            assert programs.counts().entries == 53
        child.stdin.close()


def test_detaching_ends_it(library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod) -> None:
    offsets = offsets_of(library.path, *NAMES)
    link = attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, force=method)
    identifiers = set()
    if method is not UprobeMethod.PERF_IOCTL:
        held = link.descriptors if method is not UprobeMethod.PERF_LINK else link.descriptors[::2]
        identifiers = {link_info(fd).id for fd in held}
        assert identifiers <= set(link_ids())
    library.call("plain", 1)
    assert "3 sites of" in link.describe()
    assert not link.describe().endswith("(detached)")
    link.detach()
    link.detach()
    assert not link.attached
    assert link.describe().endswith("(detached)")
    assert all(fd.closed for fd in link.descriptors)
    assert not identifiers & set(link_ids())
    for name in NAMES:
        assert library.call(name, 1) == 1 + library.adds[name]
    assert programs.counts().entries == 1


def test_many_sites_take_as_few_links_as_the_kernel_lets_them(
    library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod
) -> None:
    offsets = offsets_of(library.path, *NAMES)
    with attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, force=method) as link:
        expected = {
            UprobeMethod.SESSION: (LinkKind.UPROBE_SESSION, 1),
            UprobeMethod.MULTI: (LinkKind.UPROBE_MULTI, 2),
            UprobeMethod.PERF_LINK: (LinkKind.PERF_LINK, 12),
            UprobeMethod.PERF_IOCTL: (LinkKind.PERF_IOCTL, 6),
        }[method]
        assert (link.kind, len(link.descriptors)) == expected
        if method in (UprobeMethod.SESSION, UprobeMethod.MULTI):
            info = uprobe_multi_info(link.descriptors[0])
            assert (info.path, list(info.offsets)) == (str(library.path), offsets)


def test_a_deleted_library_is_reached_through_map_files(
    library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod
) -> None:
    offsets = offsets_of(library.path, "plain")
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(library.path) in line]
    library.path.unlink()
    path = f"/proc/self/map_files/{mapped[0].split()[0]}"
    assert offsets_of(Path(path), "plain") == offsets
    with attach_uprobe(programs, path, offsets, side=ProbeSide.BOTH, force=method):
        library.repeat("plain", 4)
        assert programs.counts().entries == 4


def own_links() -> set[str]:
    """The links that this process holds; those of the whole machine come and go with other tests."""
    held = set()
    for entry in Path("/proc/self/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            held |= {line for line in entry.read_text().splitlines() if line.startswith("link_id:")}
    return held


def test_a_refused_site_leaves_nothing_attached(
    library: ProbedLibrary, programs: CountingPrograms, method: UprobeMethod
) -> None:
    before = own_links()
    offsets = [*offsets_of(library.path, "plain"), 1 << 40]
    with pytest.raises(KernelError) as caught:
        attach_uprobe(programs, library.path, offsets, side=ProbeSide.BOTH, force=method)
    assert caught.value.errno == errno.EINVAL
    assert own_links() == before
    library.repeat("plain", 5)
    assert programs.counts().entries == 0
    with pytest.raises(KernelError) as caught:
        attach_uprobe(programs, library.path.with_name("absent"), [0], side=ProbeSide.BOTH, force=method)
    assert caught.value.errno == errno.ENOENT
