#!/usr/bin/env bash
# Start servers, workers and the Celery intake of this machine in the background.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=workers.sh
. "$(dirname "${BASH_SOURCE[0]}")/workers.sh"

usage() {
    cat <<'TEXT'
Usage: scripts/start-workers.sh [--ml-only | --video-only] [--with-flower]

Start servers, workers and the Celery intake of this machine in the background. Logs and process ids are in
logs/workers, in the working folder. What already runs is left alone.

  --ml-only      only the Celery queues, jobs and schedules that are not about video files
  --video-only   only those about video files
  --with-flower  also start Flower, at http://127.0.0.1:5555
  -h, --help     print this text

Environment: the settings of Callsheet (docs/settings.md), also from .env in the working folder;
REDIS_URL, FLOWER_USER, FLOWER_PASSWORD, FLOWER_ADDRESS, FLOWER_PORT; START_TIMEOUT in seconds (120).
TEXT
}

readonly ML_CELERY_QUEUES=hubspot-webhook-events,fatigue-monitoring,budget-optimization
readonly VIDEO_CELERY_QUEUES=render_queue,preview_queue,transcode_queue,caption_queue
# All queues that no video worker serves.
readonly ML_QUEUES=ads,default,generate,speech,comfyui,gpu,train

with_ml=true with_video=true with_flower=false

read_options() {
    for option in "$@"; do
        case $option in
            --ml-only) with_video=false ;;
            --video-only) with_ml=false ;;
            --with-flower) with_flower=true ;;
            -h | --help)
                usage
                exit 0
                ;;
            *)
                usage >&2
                fail "unknown option: $option"
                ;;
        esac
    done
    if ! $with_ml && ! $with_video; then fail "--ml-only and --video-only exclude each other"; fi
}

# Redis must respond to a request, with the URL, the user and the password of the settings.
check_redis() {
    local answer
    answer=$(
        "$BIN/python" - 2>&1 <<'PYTHON'
import sys

from callsheet.settings import Settings

try:
    from redis import Redis

    from callsheet.intake.celery.application import redis_url
except ImportError:
    sys.exit("Celery is not installed; run: pip install 'callsheet[celery]'")
server = Redis.from_url(redis_url(Settings()), socket_timeout=5, socket_connect_timeout=5)
place = "{host}:{port}/{db}".format(**{"host": "localhost", "port": 6379, "db": 0, **server.get_connection_kwargs()})
try:
    server.ping()
except Exception as error:
    sys.exit(f"Redis at {place} does not respond ({error}); start it, or set REDIS_URL")
print(place)
PYTHON
    ) || fail "$(tail -n 1 <<<"$answer")"
    good "Redis: $(tail -n 1 <<<"$answer")"
}

# Settings, folders, database, storage, FFmpeg and operations. Prints errors and warnings.
check_installation() {
    local findings status=0
    findings=$("$BIN/callsheet" check 2>&1) || status=$?
    grep '^error' <<<"$findings" | paint "$RED" || true
    grep '^warning' <<<"$findings" | paint "$YELLOW" || true
    grep -E '^ok +(database|storage|ffmpeg)' <<<"$findings" | paint "$GREEN" || true
    case $status in
        0) ;;
        2) fail "callsheet check found errors; nothing was started" ;;
        *)
            printf '%s\n' "$findings" >&2
            fail "callsheet check ended with status $status; nothing was started"
            ;;
    esac
}

# Flower has no login of its own, and everybody who reaches it can revoke tasks.
check_flower() {
    "$BIN/python" -c 'import flower' 2>/dev/null || fail "Flower is not installed; run: pip install 'callsheet[flower]'"
    flower_address=${FLOWER_ADDRESS:-127.0.0.1}
    flower_login="${FLOWER_USER:-admin}:${FLOWER_PASSWORD:-changeme}"
    if [ "${FLOWER_PASSWORD:-changeme}" = changeme ]; then
        case $flower_address in
            127.* | localhost | ::1) warn "Flower has the password 'changeme'; set FLOWER_PASSWORD" ;;
            *) fail "set FLOWER_PASSWORD: Flower would listen on $flower_address with the password 'changeme'" ;;
        esac
    fi
}

started=()
markers=()
offsets=()

# start NAME MARKER COMMAND…: run a command in the background. MARKER is what its log says when it works.
start() {
    local name=$1 marker=$2
    shift 2
    if is_running "$name"; then
        warn "$name already runs (PID $(pid_of "$name"))"
        return
    fi
    local log="$FOLDER/$name.log"
    touch "$log"
    started+=("$name")
    markers+=("$marker")
    offsets+=("$(wc -c <"$log")")
    # A session of its own: closing the terminal does not end it. The program replaces these shells, so $! is its own id.
    setsid "$@" >>"$log" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$FOLDER/$name.pid"
}

start_worker() {
    local name=$1 queues=$2 concurrency=$3
    start "$name" "worker started" \
        "$BIN/callsheet" worker --name "$name@%h" --queues "$queues" --concurrency "$concurrency"
}

start_server() {
    local name=$1
    shift
    start "$name" "Callsheet listens at" "$BIN/callsheet" serve "$@"
}

start_servers() {
    if $with_ml; then start_server ml-beat; fi
    if ! $with_video; then return; fi
    # One server has the address of the settings. With the second one, schedules and webhooks go on if the first one
    # stops.
    if is_running ml-beat; then start_server video-beat --host 127.0.0.1 --port 0; else start_server video-beat; fi
}

start_workers() {
    if $with_ml; then start_worker ml-worker "$ML_QUEUES" ads=4,default=4; fi
    if $with_video; then
        start_worker video-render render render=2
        start_worker video-preview preview preview=4
        start_worker video-transcode transcode transcode=2
        start_worker video-caption caption caption=1
    fi
}

start_intake() {
    local name=celery-intake queues=
    if ! $with_ml; then name=video-intake queues=$VIDEO_CELERY_QUEUES; fi
    if ! $with_video; then name=ml-intake queues=$ML_CELERY_QUEUES; fi
    # An empty variable is no setting: without an option, the intake serves all of its queues.
    CALLSHEET_CELERY_QUEUES=${CALLSHEET_CELERY_QUEUES:-$queues} \
        start "$name" "intake started" "$BIN/callsheet" intake celery
}

start_flower() {
    # In the environment, because everybody on this machine can read arguments.
    FLOWER_BASIC_AUTH=$flower_login start flower "Visit me at" \
        "$BIN/celery" -A callsheet.intake.celery flower --address="$flower_address" --port="${FLOWER_PORT:-5555}"
}

# Wait until each program that was started works, or has ended.
wait_until_started() {
    local deadline=$((SECONDS + ${START_TIMEOUT:-120})) failed=false index
    for index in "${!started[@]}"; do
        wait_for "${started[$index]}" "${markers[$index]}" "${offsets[$index]}" "$deadline" || failed=true
    done
    if $failed; then fail "not everything works; stop the rest with scripts/stop-workers.sh"; fi
}

wait_for() {
    local name=$1 marker=$2 offset=$3 deadline=$4
    local log="$FOLDER/$name.log"
    until grep -q "$marker" < <(tail -c "+$((offset + 1))" "$log"); do
        if ! is_running "$name"; then
            rm -f "$FOLDER/$name.pid"
            bad "$name has ended; the end of $log:"
            tail -c "+$((offset + 1))" "$log" | tail -n 10 >&2
            return 1
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            bad "$name (PID $(pid_of "$name")) does not work yet; see $log"
            return 1
        fi
        sleep 0.2
    done
    good "$name (PID $(pid_of "$name")), log in $log"
}

read_options "$@"
find_programs
mkdir -p "$FOLDER"
check_installation
check_redis
if $with_flower; then check_flower; fi
# Servers first: with the embedded database, the first process creates it.
start_servers
wait_until_started
started=() markers=() offsets=()
start_workers
start_intake
if $with_flower; then start_flower; fi
wait_until_started
say "Stop all of it with scripts/stop-workers.sh"
