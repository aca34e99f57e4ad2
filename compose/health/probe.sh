#!/bin/sh
# probe.sh CODE COMMAND...: a health check that also ends what hangs, because Docker does not
# restart an unhealthy container. A COMMAND that fails with CODE got an answer, and not a good one;
# any other failure is silence. After LIMIT silences in a row the main process is killed, and Docker
# starts the container again, later each time if that does not help.
set -u

# About 90 seconds, with the interval and the time limits of the probes in compose.yaml.
readonly LIMIT=3
# On a tmpfs, so that it is empty after each start. It is made by the first success: a start, with its
# crash recovery or schema migration, may take as long as it takes.
readonly COUNT=/run/health/silences

answer=$1
shift
"$@"
code=$?
if [ "$code" -eq 0 ] || { [ "$code" -eq "$answer" ] && [ -e "$COUNT" ]; }; then
    echo 0 >"$COUNT"
fi
[ "$code" -ne 0 ] || exit 0
[ "$code" -ne "$answer" ] && [ -e "$COUNT" ] || exit 1

silences=''
read -r silences <"$COUNT"
silences=$((${silences:-0} + 1))
echo "$silences" >"$COUNT"
[ "$silences" -ge "$LIMIT" ] || exit 1
# shellcheck disable=SC2034
reason="got no answer $silences times in a row"
# shellcheck source=/dev/null
. "${0%/*}/end.sh"
