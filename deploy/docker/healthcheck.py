#!/usr/bin/env -S python3 -IS
"""Ask a process of this container whether it is alive: `healthcheck PORT [PATH]`. Exit status 0: it is."""

import http.client
import sys


def main(port: str, path: str = "/healthz") -> int:
    """Return 0 if the response is 200, else 1 with the reason."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=4)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except OSError as error:
        print(f"port {port} does not respond: {error}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"{path} responds {status}", file=sys.stderr)
    return int(status != 200)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
