"""The types of fields, DBF_STRING to DBF_NOACCESS, and how the Base of an IOC numbers them.

dbFldTypes.h: Base 3.16 put DBF_INT64 and DBF_UINT64 before DBF_FLOAT, so that every number from 7 on means something
else in an older Base.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class DbfType(Enum):
    """A field type by its name in dbFldTypes.h, without the DBF_; independent of how a Base numbers it."""

    STRING = "STRING"
    CHAR = "CHAR"
    UCHAR = "UCHAR"
    SHORT = "SHORT"
    USHORT = "USHORT"
    LONG = "LONG"
    ULONG = "ULONG"
    INT64 = "INT64"
    UINT64 = "UINT64"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    ENUM = "ENUM"
    MENU = "MENU"
    DEVICE = "DEVICE"
    INLINK = "INLINK"
    OUTLINK = "OUTLINK"
    FWDLINK = "FWDLINK"
    NOACCESS = "NOACCESS"

    @property
    def is_link(self) -> bool:
        """Whether the field holds a struct link."""
        return self in (DbfType.INLINK, DbfType.OUTLINK, DbfType.FWDLINK)


_NEW = tuple(DbfType)
_OLD = tuple(dbf for dbf in DbfType if dbf not in (DbfType.INT64, DbfType.UINT64))


@dataclass(frozen=True)
class DbfNumbering:
    """The dbfType numbers of one Base; `types[n]` is the type numbered n."""

    types: tuple[DbfType, ...]

    @classmethod
    def by_noaccess(cls, number: int) -> DbfNumbering | None:
        """The numbering in which DBF_NOACCESS, the type of field RSET, has this number; None when there is none."""
        for types in (_NEW, _OLD):
            if number == len(types) - 1:
                return cls(types)
        return None

    def dbf(self, number: int) -> DbfType | None:
        """The field type with this number; None when there is none."""
        return self.types[number] if 0 <= number < len(self.types) else None

    def dbr(self, number: int) -> DbfType | None:
        """The type of a buffer that dbPut or dbGet is given: DBR_STRING to DBR_ENUM; None for DBR_PUT_ACKT and others.

        dbAccessDefs.h: these have the numbers of the field types.
        """
        found = self.dbf(number)
        return found if found is not None and number <= self.number(DbfType.ENUM) else None

    def number(self, dbf: DbfType) -> int:
        """The number of a field type; raises ValueError for INT64 and UINT64 in a Base that has none."""
        return self.types.index(dbf)

    @property
    def has_int64(self) -> bool:
        """Whether this Base knows 64-bit integers (3.16 and later)."""
        return DbfType.INT64 in self.types
