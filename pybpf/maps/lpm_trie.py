"""BPF_MAP_TYPE_LPM_TRIE (Linux 4.11): the value of the longest prefix that matches, as routing tables want it."""

from __future__ import annotations

import ipaddress
from typing import TypeVar, Union

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.maps.keyed import KeyedMap
from pybpf.types import Struct, byte_array, u32

K = TypeVar("K", bound=Struct)
V = TypeVar("V")

_MAX_DATA = 256  # LPM_DATA_SIZE_MAX


class Ipv4Prefix(Struct):
    """A network: ``Ipv4Prefix.of("10.1.0.0/16")``. A look-up wants the address with all of its 32 bits."""

    length: u32
    address: bytes = byte_array(4)

    @classmethod
    def of(cls, network: str) -> Ipv4Prefix:
        """The prefix of a network, or of an address; ValueError for text that is none."""
        parsed = ipaddress.IPv4Network(network)
        return cls(length=parsed.prefixlen, address=parsed.network_address.packed)

    @property
    def network(self) -> ipaddress.IPv4Network:
        """As the standard library has it."""
        return ipaddress.IPv4Network((self.address, self.length), strict=False)


class Ipv6Prefix(Struct):
    """A network: ``Ipv6Prefix.of("2001:db8::/32")``. A look-up wants the address with all of its 128 bits."""

    length: u32
    address: bytes = byte_array(16)

    @classmethod
    def of(cls, network: str) -> Ipv6Prefix:
        """The prefix of a network, or of an address; ValueError for text that is none."""
        parsed = ipaddress.IPv6Network(network)
        return cls(length=parsed.prefixlen, address=parsed.network_address.packed)

    @property
    def network(self) -> ipaddress.IPv6Network:
        """As the standard library has it."""
        return ipaddress.IPv6Network((self.address, self.length), strict=False)


Prefix = Union[Ipv4Prefix, Ipv6Prefix]


class LpmTrie(KeyedMap[K, V]):
    """Values by prefix. ``key`` is a Struct: the prefix's length in bits as u32, then up to 256 bytes in network order.

    ``lookup`` gives the value of the longest stored prefix that covers the key's; ``delete`` wants the very prefix.
    Elements are allocated one by one (the kernel takes no other way); walks need 4.16.
    """

    map_type = MapType.LPM_TRIE
    needed_flags = MapFlag.NO_PREALLOC

    def __init__(
        self, *, key: type[K], value: type[V], max_entries: int, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        fields = key.FIELDS if isinstance(key, type) and issubclass(key, Struct) else ()
        if not fields or fields[0].type != u32 or not 4 < key.SIZE <= 4 + _MAX_DATA:
            raise TypeError(
                f"an LPM trie's key is a Struct of a u32 (the prefix's bits) and 1 to {_MAX_DATA} bytes, not {key!r}"
            )
        super().__init__(key=key, value=value, max_entries=max_entries, flags=flags, name=name)
