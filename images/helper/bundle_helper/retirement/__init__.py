"""The end of a server: people are told, accounts closed, other servers told, and nothing starts again."""
