#!/usr/bin/env bash
# The first start of the image: makes a cluster where there is none, then becomes the server.
set -Eeo pipefail

fail() {
    echo >&2 "Error: $*"
    exit 1
}

# read_setting NAME [DEFAULT]: NAME or the file NAME_FILE names, never both.
read_setting() {
    local name=$1 file_name=${1}_FILE value=${2:-}
    if [[ -n ${!name:-} && -n ${!file_name:-} ]]; then
        fail "both $name and $file_name are set (but are exclusive)"
    fi
    if [[ -n ${!name:-} ]]; then
        value=${!name}
    elif [[ -n ${!file_name:-} ]]; then
        value=$(<"${!file_name}")
    fi
    export "$name"="$value"
    unset "$file_name"
}

read_settings() {
    read_setting POSTGRES_PASSWORD
    read_setting POSTGRES_USER postgres
    read_setting POSTGRES_DB "$POSTGRES_USER"
    read_setting POSTGRES_INITDB_ARGS
}

make_directories() {
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || true
    mkdir -p /var/run/postgresql || true
    chmod 3777 /var/run/postgresql 2>/dev/null || true
    if [[ $(id -u) == 0 ]]; then
        find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    fi
}

require_password() {
    if [[ -z $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
        fail "Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser."
    fi
}

# From 18 on the image's own data directory has the version in its name, so data of another version, or
# a volume at the place of earlier images, would stay beside a new and empty database.
refuse_old_data() {
    [[ $PG_MAJOR -ge 18 && $PGDATA == "/var/lib/postgresql/$PG_MAJOR/docker" ]] || return 0
    local directory old=()
    for directory in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
        [[ ! -s $directory/PG_VERSION ]] || old+=("$directory")
    done
    if [[ ${#old[@]} -eq 0 ]] && mountpoint -q /var/lib/postgresql/data; then
        old=('/var/lib/postgresql/data (unused mount/volume)')
    fi
    [[ ${#old[@]} -eq 0 ]] || fail "in 18+, these Docker images are configured to store database data in a
       format which is compatible with \"pg_ctlcluster\" (specifically, using
       major-version-specific directory names).

       Counter to that, there appears to be PostgreSQL data in:
         ${old[*]}"
}

# The extra words are evaluated by the shell, so quotes inside them are shell quotes.
make_cluster() {
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"' "$@"'
}

open_to_hosts() {
    local method=${POSTGRES_HOST_AUTH_METHOD:-}
    method=${method:-$(postgres -C password_encryption "$@")}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

run_sql() {
    local database=(--dbname "$POSTGRES_DB")
    if [[ ${1:-} == --server ]]; then
        database=(--dbname postgres)
        shift
    fi
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
        --no-password --no-psqlrc "${database[@]}" "$@"
}

make_database() {
    local found
    found=$(run_sql --server --tuples-only --set name="$POSTGRES_DB" \
        <<<"SELECT 1 FROM pg_database WHERE datname = :'name';")
    if [[ -z $found ]]; then
        run_sql --server --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
    fi
}

run_file() {
    echo "$0: running $1"
    case $1 in
        *.sh)
            if [[ -x $1 ]]; then
                "$1"
            else
                # shellcheck disable=SC1090
                . "$1"
            fi
            ;;
        *.sql) run_sql --file "$1" ;;
        *.sql.gz) gunzip -c "$1" | run_sql ;;
        *.sql.xz) xz -cd "$1" | run_sql ;;
        *.sql.zst) zstd -dc "$1" | run_sql ;;
        *) echo "$0: ignoring $1" ;;
    esac
}

# While it initialises, the server listens on its unix socket alone.
initialise() {
    require_password
    refuse_old_data
    make_cluster
    open_to_hosts "$@"
    export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
    pg_ctl -D "$PGDATA" -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
    make_database
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        [[ -e $file ]] || continue
        run_file "$file"
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

main() {
    [[ ${1:-} != -* ]] || set -- postgres "$@"
    if [[ $1 == postgres && " $* " != *" --help "* && " $* " != *" --version "* ]]; then
        read_settings
        make_directories
        if [[ $(id -u) == 0 ]]; then
            exec gosu postgres "${BASH_SOURCE[0]}" "$@"
        fi
        if [[ -s $PGDATA/PG_VERSION ]]; then
            printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
        else
            initialise "${@:2}"
        fi
    fi
    # Under this name the script only makes sure that there is a database.
    if [[ ${BASH_SOURCE[0]} != */docker-ensure-initdb.sh ]]; then
        exec "$@"
    fi
}

main "$@"
