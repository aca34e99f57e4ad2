"""Cloudflare's API in memory, as strict as the real one; the standard library is all it needs."""
