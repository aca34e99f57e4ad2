#!/bin/bash
# Starts PostgreSQL, but never a new database beside an old one: each major version keeps its data
# in a directory of its own, so a newer image would otherwise begin empty.
set -euo pipefail

# finished DIRECTORY: succeeds if the image's scripts completed a database there. PG_VERSION is
# the first file they write; the line that lets other hosts in is the last.
finished() { grep -qs '^host all all all ' "$1/pg_hba.conf"; }

# bare DIRECTORY: succeeds if nothing can have been stored there. What initdb makes has numbers
# below 16384, in global and base alike; databases and tables of later have higher ones.
bare() {
    local path number
    for path in "$1"/base/* "$1"/base/*/* "$1"/pg_tblspc/*; do
        number=${path##*/}
        number=${number%%[._]*}
        [[ ! $number =~ ^[0-9]+$ ]] || ((10#$number < 16384)) || return 1
    done
}

# note_password DIRECTORY: notes which password the database there has.
note_password() { sha256sum <"$POSTGRES_PASSWORD_FILE" >"$1/password.sha256"; }

# Gives the superuser the password in the file, if it has changed: before anybody can connect, so that
# whoever starts after this finds the one it was told. A single-user server asks for none.
renew_password() {
    [ "$(sha256sum <"$POSTGRES_PASSWORD_FILE")" != "$(cat "$PGDATA/password.sha256" 2>&1)" ] || return 0
    local password said
    password=$(<"$POSTGRES_PASSWORD_FILE")
    # It must not get into the log with the statement.
    said=$(printf "ALTER ROLE \"%s\" PASSWORD '%s'\n" "${POSTGRES_USER:-postgres}" "${password//\'/\'\'}" |
        postgres --single -D "$PGDATA" -c shared_buffers=16MB -c log_statement=none \
            -c log_min_duration_statement=-1 -c log_min_error_statement=panic postgres 2>&1) || said="ERROR: $?"
    if [[ $said == *ERROR:* || $said == *FATAL:* ]]; then
        echo "REFUSED: the superuser cannot get the password of secrets/postgres_password." \
            "Is the disk full? Nothing was touched." >&2
        exit 1
    fi
    note_password "$PGDATA"
    echo "The superuser has the password of secrets/postgres_password now."
}

# A run that is cut off leaves nothing under the final name, and the next start begins again.
make_database() {
    local unfinished=$PGDATA.unfinished
    rm -rf "$unfinished"
    # A process of its own: the image's scripts export the password that they read, and the server,
    # which needs none, must not have one in its environment.
    PGDATA=$unfinished docker-ensure-initdb.sh "$@"
    note_password "$unfinished"
    sync --file-system "$unfinished"
    mv --no-target-directory "$unfinished" "$PGDATA"
    sync --file-system "$PGDATA"
}

# successor DIRECTORY: prints which major version took the data there over, as succession.sh noted it.
successor() { cat "$1/superseded" 2>/dev/null || true; }

if [ -e "$PGDATA/superseded" ]; then
    echo "REFUSED: the data in $PGDATA was handed over to PostgreSQL $(successor "$PGDATA"), and this image" \
        "is PostgreSQL $PG_MAJOR. Type synapse-bundle upgrade-database to go on with it; as long as no" \
        "client has used the new one, --undo goes back. Nothing was touched." >&2
    exit 1
fi
for version_file in /var/lib/postgresql/*/docker/PG_VERSION; do
    [ -e "$version_file" ] || continue
    directory=${version_file%/PG_VERSION}
    if [ "$directory" != "$PGDATA" ] && [ ! -e "$PGDATA/PG_VERSION" ] &&
        [ "$(successor "$directory")" != "$PG_MAJOR" ]; then
        echo "REFUSED: this volume holds PostgreSQL $(<"$version_file") data in $directory," \
            "and this image is PostgreSQL $PG_MAJOR. Go back to the image of major version" \
            "$(<"$version_file"): the folder that belongs to this data names it in .manifest.json. From" \
            "there, synapse-bundle upgrade-database leads to a newer one. Nothing was touched." >&2
        exit 1
    fi
done

if [ ! -f "$POSTGRES_PASSWORD_FILE" ] || [ ! -r "$POSTGRES_PASSWORD_FILE" ] || [ ! -s "$POSTGRES_PASSWORD_FILE" ]; then
    echo "REFUSED: secrets/postgres_password is missing, empty or unreadable; run: make generate" >&2
    exit 1
fi

# A cluster may start a pod while the one that it replaces still ends, and PostgreSQL's own lock names a process
# of another container. This one lasts as long as any process of the server, which all inherit it.
exec {lock}</var/lib/postgresql
locked=0
flock --nonblock --conflict-exit-code 75 "$lock" || locked=$?
if ((locked == 75)); then
    echo "Another PostgreSQL runs on the data in /var/lib/postgresql; waiting for its end." >&2
    flock "$lock"
    # What was found above may be different by now.
    exec {lock}<&-
    exec /bin/bash "$0" "$@"
fi

# Earlier bundles made the database in its final place, and could be cut off there.
if [ -e "$PGDATA" ] && ! finished "$PGDATA" && bare "$PGDATA"; then
    echo "An earlier first start was cut off before anything could be stored; making the database again." >&2
    rm -rf "$PGDATA"
fi
[ -e "$PGDATA" ] || make_database "$@"
renew_password
unset POSTGRES_PASSWORD_FILE
exec docker-entrypoint.sh "$@"
