# shellcheck shell=bash
# Shared by start-workers.sh and stop-workers.sh: messages, programs, process ids.

readonly FOLDER=logs/workers

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    readonly RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    readonly RED='' GREEN='' YELLOW='' PLAIN=''
fi

say() { printf '%s\n' "$1"; }
good() { printf '%s%s%s\n' "$GREEN" "$1" "$PLAIN"; }
warn() { printf '%s%s%s\n' "$YELLOW" "$1" "$PLAIN"; }
bad() { printf '%s%s%s\n' "$RED" "$1" "$PLAIN"; }

fail() {
    bad "Error: $1" >&2
    exit 1
}

# paint COLOR: print the standard input in a color.
paint() {
    local line
    while IFS= read -r line; do printf '%s%s%s\n' "$1" "$line" "$PLAIN"; done
}

# Set BIN to the folder of `callsheet` and its Python: .venv of this checkout, else that of the PATH.
find_programs() {
    local checkout program
    checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    if [ -x "$checkout/.venv/bin/callsheet" ]; then
        BIN=$checkout/.venv/bin
    else
        program=$(command -v callsheet) || fail "callsheet is not installed; run: pip install 'callsheet[celery]'"
        # pipx and uv put a link on the PATH.
        BIN=$(dirname "$(readlink -f "$program")")
    fi
    readonly BIN
    [ -x "$BIN/python" ] || fail "there is no Python beside $BIN/callsheet"
}

# pid_of NAME: the process id in a file, or nothing.
pid_of() {
    local pid=
    if [ -r "$FOLDER/$1.pid" ]; then read -r pid <"$FOLDER/$1.pid" || true; fi
    if [[ $pid =~ ^[0-9]+$ ]]; then printf '%s' "$pid"; fi
}

# is_running NAME: whether the process of a file is alive, and is one of ours: ids are used again after a restart of the
# machine.
is_running() {
    local pid
    pid=$(pid_of "$1")
    [ -n "$pid" ] && [[ $(ps -o args= -p "$pid" 2>/dev/null) == *callsheet* ]]
}
