"""Secrets replaced while the server runs; not interrupted by a run that is cut off."""
