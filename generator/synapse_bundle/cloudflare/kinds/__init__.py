"""The kinds of things at Cloudflare, one module each, and the registry of them all.

A new kind is a new module with a class that fulfils `kind.Kind`, and a line in `registry`.
"""
