"""Accounts of the homeserver: the first ones, and those that an operator asks for."""
