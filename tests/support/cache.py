"""Where test runs keep what is large and never changes: jar files, wheels of other versions of Base."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$EPICSMON_CACHE``, else ``$XDG_CACHE_HOME/epicsmon``, else ``~/.cache/epicsmon``; made if missing."""
    own = os.environ.get("EPICSMON_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "epicsmon"
    base.mkdir(parents=True, exist_ok=True)
    return base
