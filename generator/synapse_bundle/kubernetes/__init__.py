"""Kubernetes manifests from the bundle: a pure conversion, and its two doors. Imports nothing of the program."""
