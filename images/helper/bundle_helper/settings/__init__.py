"""The environment that compose.yaml gives the helper, parsed and checked into frozen values."""
