"""The federation proof: what another Matrix server finds when it looks for a server name."""
