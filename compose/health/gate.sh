#!/bin/sh
# gate.sh start FILE COMMAND...: waits for FILE, the credential that the helper releases, then becomes
# COMMAND. gate.sh probe FILE ARGUMENT...: the health check of that service: ends it when FILE is gone,
# or another than it was started with, else is probe.sh. gate.sh unchanged FILE: fails in that case, for
# an engine that ends the service itself. Run by busybox alone: there is no other program.
set -u

# On a tmpfs, so that it is empty after each start.
readonly STARTED_WITH=/run/health/credential

verb=$1 credential=$2 found=''
shift 2

sum_up() {
    found=''
    [ -r "$credential" ] && found=$(sha256sum "$credential")
}

if [ "$verb" = start ]; then
    # A cluster keeps the directory when it starts the container again.
    rm -f "$STARTED_WITH"
    sum_up
    [ -n "$found" ] || echo "Waiting for the helper to release the tunnel's credential."
    while [ -z "$found" ]; do
        sleep 1
        sum_up
    done
    echo "$found" >"$STARTED_WITH"
    exec "$@"
fi

if [ "$verb" = unchanged ] && [ ! -e "$STARTED_WITH" ]; then
    exit 0
elif [ ! -e "$STARTED_WITH" ]; then
    echo "The helper has not released the tunnel's credential: docker compose exec helper claim status"
    exit 1
fi
read -r started <"$STARTED_WITH"
sum_up
if [ "$verb" = unchanged ]; then
    [ "$found" = "$started" ]
    exit
elif [ "$found" != "$started" ]; then
    # shellcheck disable=SC2034
    reason="found the tunnel's credential withdrawn or exchanged"
    # shellcheck source=/dev/null
    . "${0%/*}/end.sh"
fi
# shellcheck source=/dev/null
. "${0%/*}/probe.sh"
