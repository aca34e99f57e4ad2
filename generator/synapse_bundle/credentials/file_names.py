"""The names of the secret files in a bundle."""

from __future__ import annotations

from typing import Final

DIRECTORY: Final = "secrets"

# The id that the bootstrap gives a server and its data at the first start.
INSTANCE: Final = "instance"
SIGNING_KEY: Final = "signing.key"
# The public halves of earlier ones, which other servers need for what those signed.
OLD_SIGNING_KEYS: Final = "old_signing_keys"
# Of a server that was imported: part of the hash of each of its passwords.
PASSWORD_PEPPER: Final = "password_pepper"  # noqa: S105  # the name of a file
# Of the bundle's own PostgreSQL.
SUPERUSER_PASSWORD: Final = "postgres_password"  # noqa: S105  # the name of a file
# Of Synapse's role, where the bundle or an operator in a cluster makes it.
ROLE_PASSWORD: Final = "synapse_database_password"  # noqa: S105  # the name of a file
# Between Synapse's processes: only with workers.
REPLICATION: Final = "worker_replication_secret"
VALKEY: Final = "valkey_password"
REGISTRATION: Final = "registration_shared_secret"
ADMIN_PASSWORD: Final = "admin_password"  # noqa: S105  # the name of a file
AUTHORITY_KEY: Final = "authority.key"
AUTHORITY_CERTIFICATE: Final = "authority.pem"
# Generated; without it no set can be read.
BACKUP_PASSWORD: Final = "backup_password"  # noqa: S105  # the name of a file

# Provided by the operator, or made at Cloudflare.
TUNNEL: Final = "tunnel.json"
TOKEN: Final = "dns_token"  # noqa: S105  # the name of a file
ROOT: Final = "root.pem"
NOTIFICATION: Final = "notification_urls"
HEARTBEAT: Final = "heartbeat_url"
ACCESS_KEYS: Final = "backup_credentials"
SSH_KEY: Final = "backup_ssh_key"
KNOWN_HOSTS: Final = "backup_known_hosts"
# Of a database that somebody else runs.
DATABASE_PASSWORD: Final = "database_password"  # noqa: S105  # the name of a file
DATABASE_ROOT: Final = "database_root.pem"
RELEASE_LIST: Final = "releases.signed"
RELEASE_KEYS: Final = "release_keys.pem"
PROVIDED: Final = (
    *(TUNNEL, TOKEN, ROOT, NOTIFICATION, HEARTBEAT, ACCESS_KEYS, SSH_KEY, KNOWN_HOSTS),
    *(DATABASE_PASSWORD, DATABASE_ROOT, RELEASE_LIST, RELEASE_KEYS),
)
