"""Network interfaces between namespaces of tests, through rtnetlink."""

from __future__ import annotations

import socket
import struct

from pyroute2 import IPRoute

from tests.support.netns import NetworkNamespace

IFLA_GSO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE = 41, 63, 64  # linux/if_link.h
RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK = 16, 1, 4
LOOPBACK_INDEX = 1
LINK = "link"


def connect(here: NetworkNamespace, there: NetworkNamespace) -> tuple[str, str]:
    """Connect two namespaces by a pair of veth, called ``link`` at both ends; returns their addresses."""
    addresses = ("10.99.0.1", "10.99.0.2")
    with here.entered(), IPRoute() as route:
        route.link("add", ifname=LINK, kind="veth", peer={"ifname": LINK, "net_ns_fd": there.fd})
    for namespace, address in zip((here, there), addresses):
        with namespace.entered(), IPRoute() as route:
            (index,) = route.link_lookup(ifname=LINK)
            route.link("set", index=index, state="up")
            route.addr("add", index=index, address=address, prefixlen=24)
    return addresses


def allow_big_tcp(size: int) -> None:
    """Let the loopback of the calling thread's namespace carry segments of ``size`` bytes (BIG TCP, Linux 6.3)."""
    attributes = b"".join(
        struct.pack("=HHI", 8, attribute, size)
        for attribute in (IFLA_GSO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE)
    )
    body = struct.pack("=BxHiII", 0, 0, LOOPBACK_INDEX, 0, 0) + attributes
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as control:
        header = struct.pack("=IHHII", 16 + len(body), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
        control.send(header + body)
        (error,) = struct.unpack_from("=i", control.recv(4096), 16)
        if error:
            raise OSError(-error, "set the largest segment of lo")
