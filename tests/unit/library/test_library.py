"""What `import epicsmon` offers a Python program."""

from __future__ import annotations

import subprocess
import sys

import pytest

import epicsmon

MODULES_AFTER_IMPORT = (
    "import sys, epicsmon; print(*sorted(m for m in sys.modules if m.startswith(('epicsmon', 'pybpf'))))"
)


@pytest.mark.parametrize("name", epicsmon.__all__)
def test_every_name_is_there(name: str) -> None:
    found = getattr(epicsmon, name)
    assert found.__name__ == name
    assert found.__doc__


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'watch_pots'"):
        epicsmon.watch_pots  # type: ignore[attr-defined] # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", MODULES_AFTER_IMPORT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["epicsmon"]
