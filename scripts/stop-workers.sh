#!/usr/bin/env bash
# Stop what start-workers.sh started in this folder.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=workers.sh
. "$(dirname "${BASH_SOURCE[0]}")/workers.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/stop-workers.sh

Stop what scripts/start-workers.sh started in the working folder. Running jobs get the grace period of Callsheet
(CALLSHEET_GRACE_PERIOD, 20 s) to end; the rest is returned to its queues. Removes logs/workers/*.pid.

Environment: STOP_TIMEOUT, the seconds after which a process is killed (60). Make it longer than the grace period.
TEXT
}

asked=()

# ask NAME…: send programs the signal to stop.
ask() {
    local name
    asked=()
    for name in "$@"; do
        [ -e "$FOLDER/$name.pid" ] || continue
        if is_running "$name"; then
            asked+=("$name")
            kill -TERM "$(pid_of "$name")" 2>/dev/null || true
        else
            warn "$name did not run"
            rm -f "$FOLDER/$name.pid"
        fi
    done
}

# Wait until the programs that were asked have ended. One that does not end in time is killed; its child processes end
# with it.
wait_until_stopped() {
    local deadline=$((SECONDS + ${STOP_TIMEOUT:-60})) name
    for name in "${asked[@]}"; do
        while is_running "$name" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
        if is_running "$name"; then
            kill -KILL "$(pid_of "$name")" 2>/dev/null || true
            bad "$name did not stop in ${STOP_TIMEOUT:-60} s, and was killed; its jobs are rescued by other workers"
            killed=true
        else
            good "$name has stopped"
        fi
        rm -f "$FOLDER/$name.pid"
    done
}

case ${1:-} in
    "") ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        fail "unknown option: $1"
        ;;
esac

killed=false
compgen -G "$FOLDER/*.pid" >/dev/null || say "Nothing was started in this folder ($FOLDER)"
# First what takes messages, then what runs jobs, then what serves them.
ask flower celery-intake ml-intake video-intake
wait_until_stopped
ask ml-worker video-render video-preview video-transcode video-caption
wait_until_stopped
ask ml-beat video-beat
wait_until_stopped
if $killed; then exit 1; fi
