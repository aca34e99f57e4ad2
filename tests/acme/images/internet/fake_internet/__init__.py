"""Cloudflare's DNS API, its name servers and an ACME authority's front, for tests on one host."""
