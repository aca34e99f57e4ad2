#!/bin/bash
# The data of one major version of PostgreSQL is handed over to the next, each in a directory of its own.
# The note in the older one decides which may start (start.sh): without it the older, with the newer
# version's number only the newer, and once clients have used that, with a word behind the number, for good.
#     succession.sh VERB OLDER NEWER VERSION
# OLDER and NEWER are directories, VERSION is that of NEWER. No server may run here meanwhile.
set -euo pipefail
verb=$1 older=$2 newer=$3 version=$4

# write_note TEXT: in one step, and on the disk when this returns.
write_note() {
    printf '%s\n' "$1" >"$older/superseded.new"
    sync "$older/superseded.new"
    mv --no-target-directory "$older/superseded.new" "$older/superseded"
    sync --file-system "$older"
}

describe() {
    if [ ! -e "$older/PG_VERSION" ]; then
        echo gone
    elif [ ! -e "$older/superseded" ]; then
        echo current
    elif [ "$(<"$older/superseded")" = "$version" ]; then
        echo "handed over"
    else
        echo opened
    fi
}

case $verb in
describe) describe ;;
hand-over)
    [ "$(describe)" != current ] || write_note "$version"
    ;;
open)
    [ "$(describe)" != "handed over" ] || write_note "$version, for good"
    ;;
take-back)
    [ "$(describe)" != opened ] || exit 1
    rm -rf "$newer" "$newer.unfinished"
    sync --file-system "$older"
    rm -f "$older/superseded"
    sync --file-system "$older"
    ;;
remove)
    [ "$(describe)" != opened ] || mv --no-target-directory "$older" "$older.removed"
    rm -rf "$older.removed"
    ;;
esac
