"""The helper of a synapse-bundle: prepares the database, keeps the certificate, checks the whole."""
