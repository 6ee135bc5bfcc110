"""Channel Access on the wire: headers, commands, DBR types and status codes, as pure functions on bytes."""

from __future__ import annotations
