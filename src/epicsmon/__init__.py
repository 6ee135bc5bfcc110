"""Sees inside a running EPICS control system from the outside: who put what, and why each record processed."""
