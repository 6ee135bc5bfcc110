"""The names of alarm conditions and severities, as EPICS Base prints them.

Both sets are the same numbers and strings in every Base since 3.14: libcom `alarm.h` and `alarmString.c`
(`misc/alarmString.h` in 3.14), and the choices of menuAlarmStat.dbd and menuAlarmSevr.dbd.
"""

from __future__ import annotations

from enum import IntEnum


class AlarmSeverity(IntEnum):
    """epicsAlarmSeverity: how bad it is; the value of field SEVR."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class AlarmCondition(IntEnum):
    """epicsAlarmCondition: what is wrong; the value of field STAT."""

    NO_ALARM = 0
    READ = 1
    WRITE = 2
    HIHI = 3
    HIGH = 4
    LOLO = 5
    LOW = 6
    STATE = 7
    COS = 8
    COMM = 9
    TIMEOUT = 10
    HWLIMIT = 11
    CALC = 12
    SCAN = 13
    LINK = 14
    SOFT = 15
    BAD_SUB = 16
    UDF = 17
    DISABLE = 18
    SIMM = 19
    READ_ACCESS = 20
    WRITE_ACCESS = 21


_SEVERITIES = tuple(severity.name for severity in AlarmSeverity)
_CONDITIONS = tuple(condition.name for condition in AlarmCondition)


def severity_name(number: int | None) -> str | None:
    """The name of a severity; None for a number that no Base defines."""
    return _SEVERITIES[number] if number is not None and 0 <= number < len(_SEVERITIES) else None


def condition_name(number: int | None) -> str | None:
    """The name of an alarm condition; None for a number that no Base defines."""
    return _CONDITIONS[number] if number is not None and 0 <= number < len(_CONDITIONS) else None
