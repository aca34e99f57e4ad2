#!/bin/sh
# As that of the image that this stands in for: root gives /data away and becomes valkey.
set -e

case ${1:-} in
    -* | *.conf) set -- valkey-server "$@" ;;
esac
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user valkey -exec chown valkey '{}' +
    exec gosu valkey "$0" "$@"
fi
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
