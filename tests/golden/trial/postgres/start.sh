#!/bin/bash
# Starts PostgreSQL, but never a new database beside an old one: each major version keeps its data
# in a directory of its own, so a newer image would otherwise begin empty.
set -euo pipefail

for version_file in /var/lib/postgresql/*/docker/PG_VERSION; do
    [ -e "$version_file" ] || continue
    directory=${version_file%/PG_VERSION}
    if [ "$directory" != "$PGDATA" ] && [ ! -e "$PGDATA/PG_VERSION" ]; then
        echo "REFUSED: this volume holds PostgreSQL $(<"$version_file") data in $directory," \
            "and this image is PostgreSQL $PG_MAJOR. Go back to the image of major version" \
            "$(<"$version_file"), or dump and restore. Nothing was touched." >&2
        exit 1
    fi
done

if [ ! -f "$POSTGRES_PASSWORD_FILE" ] || [ ! -r "$POSTGRES_PASSWORD_FILE" ] || [ ! -s "$POSTGRES_PASSWORD_FILE" ]; then
    echo "REFUSED: secrets/postgres_password is missing, empty or unreadable; run: make generate" >&2
    exit 1
fi

# The image's scripts export the password they read. A process of its own makes the database, so
# that the server, which needs no password, does not carry one in its environment.
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    docker-ensure-initdb.sh "$@"
fi
unset POSTGRES_PASSWORD_FILE
exec docker-entrypoint.sh "$@"
