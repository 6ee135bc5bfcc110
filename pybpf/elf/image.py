"""An executable or a shared library: its segments, symbols, file offsets and build-id."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING

from elftools.elf.elffile import ELFFile

from pybpf.elf.file import FileIdentity, PositionedFile, duplicate_image_file, open_image_file
from pybpf.elf.headers import segment_headers
from pybpf.elf.notes import find_build_id
from pybpf.elf.symbols import Symbol, SymbolTables
from pybpf.errors import ImageError, PybpfError, SymbolNotFound

if TYPE_CHECKING:
    from typing_extensions import Self


class ImageKind(Enum):
    """What kind of image the file is."""

    EXECUTABLE = "executable at a fixed address"
    SHARED = "shared library or position-independent executable"


class Machine(Enum):
    """The processor the code is for."""

    X86_64 = "x86-64"
    AARCH64 = "aarch64"
    OTHER = "another processor"


@dataclass(frozen=True)
class Segment:
    """A loaded part of the image (PT_LOAD). Addresses are the image's own, before it is relocated; sizes in bytes."""

    address: int
    offset: int
    file_size: int
    memory_size: int
    executable: bool
    writable: bool


class ElfImage:
    """An open ELF file; a context manager that owns its descriptor.

    Symbols are looked up by the hash section of the dynamic symbol table, as the dynamic linker does, and only then in
    .symtab. Whatever the file holds, methods answer or raise :class:`~pybpf.errors.ImageError`: nothing in it is
    trusted.
    """

    def __init__(self, file: PositionedFile, path: str) -> None:
        """Take over ``file``; use :meth:`open` or :meth:`from_fd`."""
        self.path = path
        self._file = file
        stream = io.BufferedReader(file)
        try:
            with self._parsing():
                self._elf = ELFFile(stream)
                self._check_tables()
                self.kind = self._kind()
                self.machine = {"EM_X86_64": Machine.X86_64, "EM_AARCH64": Machine.AARCH64}.get(
                    self._elf["e_machine"], Machine.OTHER
                )
                self.segments = self._load_segments()
                self._symbols = SymbolTables(self._elf)
        except BaseException:
            stream.close()
            raise
        self._stream = stream

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ElfImage:
        """The image at ``path``, which may be a /proc/PID/map_files entry.

        Raises:
            ImageError: no such file, not an ELF image, truncated.
        """
        text = os.fspath(path)
        return cls(open_image_file(text), text)

    @classmethod
    def from_fd(cls, fd: int, name: str = "") -> ElfImage:
        """The image behind an open descriptor, which stays the caller's and keeps its offset."""
        text = name or f"descriptor {fd}"
        return cls(duplicate_image_file(fd, text), text)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def identity(self) -> FileIdentity:
        """Device and inode, as probes and /proc/PID/maps see the file."""
        return FileIdentity(self._file.status.st_dev, self._file.status.st_ino)

    @property
    def bits(self) -> int:
        """32 or 64."""
        bits: int = self._elf.elfclass
        return bits

    @property
    def build_id(self) -> str | None:
        """The GNU build-id in hex, None without one."""
        with self._parsing():
            return find_build_id(self._elf)

    def symbol(self, name: str) -> Symbol:
        """The symbol that ``name`` stands for: the dynamic one, else the only one of .symtab.

        Raises:
            SymbolNotFound: it is not defined here, or several local symbols of .symtab share the name.
        """
        found = self.find(name)
        if found is not None:
            return found
        same = len(self.symbols_named(name))
        hint = f"{same} local symbols share the name" if same else ""
        if not same and not self.has_symtab:
            hint = "the file is stripped of .symtab, so only exported names are known"
        raise SymbolNotFound(name, self.path, hint)

    def find(self, name: str) -> Symbol | None:
        """The same, with None for a symbol that is not there."""
        with self._parsing():
            return self._symbols.find(name)

    def symbols_named(self, name: str) -> tuple[Symbol, ...]:
        """Every definition of ``name`` in .symtab, static functions of several source files included."""
        with self._parsing():
            return self._symbols.in_symtab(name)

    @property
    def has_symtab(self) -> bool:
        """Whether the file still has its .symtab, which names static functions."""
        return self._symbols.has_symtab

    def file_offset(self, address: int) -> int:
        """Where the byte at ``address`` lies in the file: what a uprobe is attached to.

        Raises:
            ImageError: no segment holds it, or it is zero-filled memory without bytes in the file.
        """
        segment = self._segment_of(address)
        return segment.offset + address - segment.address

    def is_executable(self, address: int) -> bool:
        """Whether ``address`` lies in a segment that holds code."""
        return any(s.executable and s.address <= address < s.address + s.file_size for s in self.segments)

    def load_bias(self, mapping_start: int, mapping_offset: int) -> int:
        """What to add to an image address to get the address in a process.

        ``mapping_start`` and ``mapping_offset`` (bytes) come from a line of /proc/PID/maps about this file.

        Raises:
            ImageError: no segment is mapped from that offset.
        """
        page = mmap.PAGESIZE
        first = [s for s in self.segments if s.offset // page * page == mapping_offset]
        # mprotect (RELRO) splits a mapping, so a line may start inside of a segment.
        inside = [s for s in self.segments if s.offset <= mapping_offset < s.offset + s.file_size]
        for segment in first + inside:
            return mapping_start - (segment.address - segment.offset + mapping_offset)
        raise ImageError(self.path, f"no segment is mapped from file offset {mapping_offset:#x}")

    def read(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``address`` as the file holds them; fewer where the segment ends.

        Raises:
            ImageError: no segment holds ``address``.
        """
        segment = self._segment_of(address)
        available = segment.address + segment.file_size - address
        return self.read_file(segment.offset + address - segment.address, min(size, available))

    def read_file(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes at a file offset."""
        with self._parsing():
            self._stream.seek(offset)
            return self._stream.read(max(0, min(size, self._file.status.st_size)))

    def _segment_of(self, address: int) -> Segment:
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                return segment
        raise ImageError(self.path, f"address {address:#x} has no bytes in the file")

    def _check_tables(self) -> None:
        """Refuse header tables that lie outside of the file, before anything walks them."""
        size = self._file.status.st_size
        header = self._elf.header
        for what, offset, entry, count in (
            ("program headers", header["e_phoff"], header["e_phentsize"], self._elf.num_segments()),
            ("section headers", header["e_shoff"], header["e_shentsize"], self._elf.num_sections()),
        ):
            if count and (entry <= 0 or offset + entry * count > size):
                raise ImageError(self.path, f"truncated: the {what} end behind the end of the file")

    def _kind(self) -> ImageKind:
        kinds = {"ET_EXEC": ImageKind.EXECUTABLE, "ET_DYN": ImageKind.SHARED}
        kind = kinds.get(self._elf["e_type"])
        if kind is None:
            raise ImageError(self.path, "neither an executable nor a shared library")
        return kind

    def _load_segments(self) -> tuple[Segment, ...]:
        return tuple(
            Segment(
                address=header["p_vaddr"],
                offset=header["p_offset"],
                file_size=min(header["p_filesz"], max(0, self._file.status.st_size - header["p_offset"])),
                memory_size=header["p_memsz"],
                executable=bool(header["p_flags"] & 1),
                writable=bool(header["p_flags"] & 2),
            )
            for header in segment_headers(self._elf)
            if header["p_type"] == "PT_LOAD"
        )

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        """Turn whatever the parser trips over into an :class:`ImageError`.

        The parser trusts its input: hostile bytes surface as any exception (ELFError, struct.error, UnicodeDecodeError,
        KeyError, AttributeError ...).
        """
        try:
            yield
        except PybpfError:
            raise
        except Exception as error:
            reason = f"not a sound ELF image ({type(error).__name__}: {error})".replace("\n", " ")
            raise ImageError(self.path, reason) from error
