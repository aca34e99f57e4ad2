"""Tunnel, DNS, Worker and zone settings at Cloudflare: planned, applied, destroyed.

Imported only by the command `cloudflare`: the rest of the generator works offline.
"""
