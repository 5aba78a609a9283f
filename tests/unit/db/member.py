"""A process that uses the embedded PostgreSQL until its standard input is closed.

Usage: `python member.py FOLDER`. It prints `PID DSN` once it is a member. SIGINT kills it.
"""

import signal
import sys
from pathlib import Path

from callsheet.db.embedded.postgres import EmbeddedPostgres

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    dsn = postgres.start()
    print(postgres.server_pid, dsn, flush=True)
    sys.stdin.read()
    postgres.stop()
