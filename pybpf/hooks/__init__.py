"""Hooks: where programs run. One decorator each."""
