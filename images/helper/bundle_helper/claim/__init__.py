"""The claim of a server to its name: a record in DNS, which keeps two copies from serving at once."""
