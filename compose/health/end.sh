#!/bin/sh
# Sourced by health checks, with `reason` set: ends the main process, and Docker starts the container again.
# Process 1 cannot be killed from in here: it has to be Docker's init, whose first child is the service.
read -r init </proc/1/comm
case $init in *-init) ;; *) exit 1 ;; esac
read -r main _ </proc/1/task/1/children
# shellcheck disable=SC2154
echo "The health check $reason: ending process $main." >/proc/1/fd/2
kill -KILL "$main"
exit 1
