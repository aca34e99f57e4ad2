"""Proof that the newest set can be restored."""
