"""Proofs that the running bundle works: one small function per hop, each returns one finding."""
