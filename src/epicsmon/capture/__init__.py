"""Where packets come from, and what a packet is."""

from __future__ import annotations
