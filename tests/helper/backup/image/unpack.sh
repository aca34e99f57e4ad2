#!/bin/sh
# Copies programs with the libraries they need into /out, so that they run on any Linux of this processor.
set -eu
mkdir /out/lib /out/real
for name in restic ssh pg_dump pg_restore psql; do
    program=$(command -v "$name")
    case $name in pg_*|psql) program=$(pg_config --bindir 2>/dev/null || echo "/usr/lib/postgresql/$PG_MAJOR/bin")/$name ;; esac
    cp -L "$program" "/out/real/$name"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do cp -L "$library" /out/lib/; done
    printf '#!/bin/sh\nexec %s/lib/%s --library-path %s/lib --argv0 %s %s/real/%s "$@"\n' \
        "$1" "$(basename "$(ldd "$program" | grep -o '/[^ ]*/ld-linux[^ ]*')")" "$1" "$name" "$1" "$name" >"/out/$name"
    chmod 0755 "/out/$name"
done
chmod -R a+rX /out
