"""Links and sites as values, without a kernel that runs programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybpf.errors import KernelError, UnsupportedFeature
from pybpf.kernel.constants import AttachType
from pybpf.kernel.fd import OwnedFd
from pybpf.links import Link, LinkKind, UprobeMethod
from pybpf.links.link import join_links
from pybpf.links.sites import UprobeSites
from pybpf.links.tracepoint import tracepoint_id


class Recorded(OwnedFd):
    """A real descriptor that writes down when it is closed."""

    def __init__(self, name: str, order: list[str], *, fails: bool = False) -> None:
        super().__init__(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), name)
        self._order = order
        self._fails = fails

    def close(self) -> None:
        if not self.closed:
            self._order.append(self.what)
        super().close()
        if self._fails:
            raise OSError(f"{self.what} does not close")


def test_a_link_closes_its_descriptors_in_order_and_once() -> None:
    order: list[str] = []
    fds = [Recorded("link", order), Recorded("event", order)]
    with Link(LinkKind.PERF_LINK, "program p at entry of 1 site of f", fds, lambda: order.append("detach")) as link:
        assert link.describe() == "program p at entry of 1 site of f by perf link"
        assert link.attached
        assert order == []
    link.detach()
    assert order == ["detach", "link", "event"]
    assert link.describe().endswith("(detached)")
    assert "detached" in repr(link)


def test_a_link_closes_the_rest_when_one_does_not_close() -> None:
    order: list[str] = []
    link = Link(LinkKind.PERF_IOCTL, "p", [Recorded("first", order, fails=True), Recorded("second", order)])
    with pytest.raises(OSError, match="first does not close"):
        link.detach()
    assert order == ["first", "second"]
    assert not link.attached


def test_joined_links_detach_in_order() -> None:
    order: list[str] = []
    links = [Link(LinkKind.UPROBE_MULTI, name, [Recorded(name, order)]) for name in ("entry", "return")]
    joined = join_links(links, "both")
    assert [fd.what for fd in joined.descriptors] == ["entry", "return"]
    joined.detach()
    assert order == ["entry", "return"]
    assert joined.describe() == "both by uprobe_multi link (detached)"


def test_an_error_inside_the_block_still_detaches() -> None:
    order: list[str] = []
    with pytest.raises(ZeroDivisionError), Link(LinkKind.SOCKET, "p", [Recorded("fd", order)]):
        print(1 // 0)
    assert order == ["fd"]


def test_sites_are_checked_before_the_kernel_is_asked() -> None:
    for offsets, cookies, pid, reason in (
        ([], None, None, "at least one"),
        ([16, 16], None, None, "twice"),
        ([16, 32], [1], None, "1 cookies for 2 offsets"),
        ([16], None, 0, "no process"),
    ):
        with pytest.raises(ValueError, match=reason):
            UprobeSites.of("libx.so", offsets, cookies, pid)
    sites = UprobeSites.of(Path("libx.so"), [16, 32], [0, 0])
    assert (sites.path, sites.offsets, sites.needs_cookies) == ("libx.so", (16, 32), False)
    assert str(sites) == "2 sites of libx.so in every process"
    assert str(UprobeSites.of("libx.so", [16], [5], 7)) == "1 site of libx.so in process 7"


def test_each_method_names_the_attach_type_its_programs_are_loaded_with() -> None:
    assert [method.attach_type for method in UprobeMethod] == [
        AttachType.TRACE_UPROBE_SESSION,
        AttachType.TRACE_UPROBE_MULTI,
        AttachType.NONE,
        AttachType.NONE,
    ]
    assert all(method.features for method in UprobeMethod)


def test_the_number_of_a_tracepoint_is_read_from_the_first_tracefs_that_has_it(tmp_path: Path) -> None:
    second = tmp_path / "debug" / "events" / "sched" / "sched_switch"
    second.mkdir(parents=True)
    (second / "id").write_text("314\n")
    roots = (tmp_path / "tracing", tmp_path / "debug")
    assert tracepoint_id("sched", "sched_switch", roots) == 314
    with pytest.raises(UnsupportedFeature) as caught:
        tracepoint_id("sched", "absent", roots)
    assert len(caught.value.tried) == 2
    (second.parent / "folder" / "id").mkdir(parents=True)
    with pytest.raises(KernelError, match="tracefs is for root"):
        tracepoint_id("sched", "folder", roots)
