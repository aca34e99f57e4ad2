"""Sent into a pod: asks Apache's Service again and again, until its input ends; prints what failed."""

import json
import select
import ssl
import sys
import time
from http.client import HTTPException, HTTPSConnection

PAUSE = 0.05
PATHS = ("/_matrix/client/versions", "/.well-known/matrix/client")


def ask(host: str, name: str, path: str) -> str:
    """Return what is wrong with the answer to one request on a connection of its own, or nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection(host, timeout=20, context=context)
    try:
        connection.request("GET", path, headers={"Host": name, "Connection": "close"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        return f"{path}: {error!r}"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{path}: {answer.status}"


def main(host: str, name: str) -> None:
    """Ask until standard input ends."""
    asked = 0
    failures: list[str] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        failures += filter(None, [ask(host, name, PATHS[asked % len(PATHS)])])
        asked += 1
        if asked == 1:
            print("began", flush=True)
        time.sleep(PAUSE)
    print(json.dumps({"asked": asked, "failures": failures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
