"""The one-shot start: owners of volumes, Synapse's role and database, and the proof of both."""
