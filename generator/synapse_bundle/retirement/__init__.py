"""A server ends: people are told, and later its accounts, its names at Cloudflare and its containers go."""
