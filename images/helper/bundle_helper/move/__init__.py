"""The server leaves this machine, or comes back to it."""
