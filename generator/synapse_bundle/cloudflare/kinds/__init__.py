"""The kinds of things at Cloudflare, one module each."""
