"""Cloudflare's API in memory, as strict as the real one."""
