# What the hotplug scripts share: a daemon in a directory of its own, and a few checks.
# After `source lib.sh` the script stands in an empty directory that goes away when it ends,
# with `hotbay` on its PATH. Sizes and offsets are as qemu-io takes them: 64k, 1M.
set -eEuo pipefail

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
hotbay_binary=${HOTBAY:-${CARGO_TARGET_DIR:-$tests/../target}/release/hotbay}
python=/usr/bin/python3                    # the one that Debian's python3-libnbd is for
patience=30                                # seconds until a wait counts as a failure

[ -x "$hotbay_binary" ] || { echo "no hotbay at $hotbay_binary: cargo build --release" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/hotbay-XXXXXX")
mkdir "$dir/bin"
ln -s "$(realpath "$hotbay_binary")" "$dir/bin/hotbay"
printf '#!/bin/sh\nexec %s -m nbd "$@"\n' "$python" >"$dir/bin/nbdsh"
chmod +x "$dir/bin/nbdsh"
PATH="$dir/bin:$PATH"
export HOTBAY_CONTROL="$dir/control.sock"
cd "$dir"

trap 'blame "$BASH_COMMAND"' ERR
trap clean_up EXIT

# The line of the script itself, however deep in this file its command failed.
blame() { echo "${0##*/}: failed at line ${BASH_LINENO[-2]}: $1" >&2; }

# What a script has to clear away besides: it defines this anew. A trap of its own would lose the exit status.
at_the_end() { :; }

clean_up() {
    local code=$?
    trap - ERR
    if [ "$code" != 0 ] && [ -f "$dir/log" ]; then
        { echo "--- the daemon's log ends:"; tail -n 20 "$dir/log"; } >&2
    fi
    local pid
    for pid in $(jobs -p) ${daemon:-}; do
        { kill -9 "$pid" && wait "$pid"; } 2>/dev/null || true
    done
    at_the_end || true
    cd /
    rm -rf "$dir"
    exit "$code"
}

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# --- the daemon

# start_hotbay [CONFIG.toml] [--bays N] [--volume NAME=MEDIUM]…   returns when it answers
start_hotbay() {
    hotbay serve "$@" --listen "unix:$dir/nbd.sock" --control "$HOTBAY_CONTROL" \
        --state "$dir/state" >>"$dir/log" 2>&1 &
    daemon=$!
    answers "$daemon"
}

# answers PID: polls until the control socket does; the one loop of its kind.
answers() {
    local tries
    for tries in $(seq 400); do
        hotbay status >/dev/null 2>&1 && return
        kill -0 "$1" 2>/dev/null || fail "the daemon ended at its start"
        sleep 0.05
    done
    fail "the daemon does not answer after $tries tries"
}

# A clean stop: SIGTERM, and the daemon calls it a success.
stop_hotbay() {
    kill -TERM "$daemon"
    wait "$daemon" || fail "a clean stop ended with $?"
    daemon=
}

# A crash.
kill_hotbay() {
    kill -KILL "$daemon"
    wait "$daemon" 2>/dev/null || true
    daemon=
}

# --- other servers, whose exports are media

# serve_file FILE [--OPTION…] [KEY=VALUE…]: nbdkit serves it at FILE.sock, in the background; its process is $server.
serve_file() {
    local word options=() keys=()
    for word in "${@:2}"; do
        case $word in --*) options+=("$word") ;; *) keys+=("$word") ;; esac
    done
    rm -f "$1.sock"
    nbdkit --foreground --exit-with-parent --unix "$dir/$1.sock" "${options[@]}" file "$1" "${keys[@]}" &
    server=$!
    listens "$1.sock"
}

# qemu_serve FILE FORMAT: the same with qemu-nbd.
qemu_serve() {
    rm -f "$1.sock"
    qemu-nbd --persistent --shared=8 --format="$2" --socket="$dir/$1.sock" "$1" &
    server=$!
    listens "$1.sock"
}

# listens SOCKET: polls until a server answers there.
listens() {
    local tries
    for tries in $(seq 400); do
        nbdinfo --size "nbd+unix:///?socket=$dir/$1" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "no server answers at $1 after $tries tries"
}

kill_server() {
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
}

# remote FILE: the medium that is served at FILE.sock.
remote() { echo "nbd+unix:///?socket=$dir/$1.sock"; }

uri() { echo "nbd+unix:///$1?socket=$dir/nbd.sock"; }

# state VOLUME: its state as a word.   field VOLUME NAME[.NAME]: what `status --json` says of it.
state() { field "$1" state; }
field() {
    hotbay status --json | "$python" -c '
import functools, json, sys
volume = next(v for v in json.load(sys.stdin)["volumes"] if v["name"] == sys.argv[1])
print(functools.reduce(lambda value, key: value[key], sys.argv[2].split("."), volume))' "$1" "$2"
}

# becomes VOLUME STATE
becomes() { hotbay wait "$1" "$2" --timeout "${patience}s"; }

# in_sync VOLUME: returns once this copy of a mirror has everything.   behind VOLUME: once it gets no changes.
in_sync() { stands "$1" True; }
behind() { stands "$1" False; }
stands() {
    local tries
    for tries in $(seq 600); do
        [ "$(field "$1" copy.in_sync)" = "$2" ] && return
        sleep 0.05
    done
    fail "the copy on $1 stays as it is: $(hotbay status)"
}

# event TEXT: returns once TEXT is in one of the daemon's events, past ones included.
event() {
    timeout "$patience" grep -q -m1 -- "$1" < <(follow_events) || fail "no event says: $1"
}

# It outlives `event` until the daemon's next word, so it must be silent about its end.
follow_events() { trap - ERR; exec hotbay events --follow --json 2>/dev/null; }

# refused COMMAND…: it must exit 1 and say why; what it said is in the file `complaint`.
refused() { exits 1 "$@"; grep -q '^error: ' complaint || fail "no error: line from: $*"; }

# exits CODE COMMAND…
exits() {
    local expected=$1 code=0
    shift
    "$@" >output 2>complaint || code=$?
    [ "$code" = "$expected" ] || fail "$* ended with $code, not $expected: $(cat complaint)"
}

# is WHAT FOUND EXPECTED
is() { [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"; }

# --- bytes

# blank FILE SIZE: an empty medium.   blank a.img 16M
blank() { truncate -s "$2" "$1"; }

# fill VOLUME PATTERN OFFSET LENGTH, through NBD; ends with a flush.   fill a 0x5a 0 1M
fill() { io "$1" "write -P $2 $3 $4"; }

# holds VOLUME PATTERN OFFSET LENGTH, read through NBD
holds() { io "$1" "read -P $2 $3 $4"; }

io() {
    timeout "$patience" qemu-io -f raw -c "$2" "$(uri "$1")" >io.log 2>&1 ||
        { cat io.log >&2; fail "volume $1: $2"; }
}

# file_holds FILE PATTERN OFFSET LENGTH, read from the medium itself
file_holds() {
    qemu-io -f raw -r -c "read -P $2 $3 $4" "$1" >io.log 2>&1 ||
        { cat io.log >&2; fail "medium $1: read -P $2 $3 $4"; }
}

# write_unflushed VOLUME PATTERN OFFSET LENGTH (bytes): the client gets its answers and never flushes.
write_unflushed() {
    timeout "$patience" nbdsh -u "$(uri "$1")" \
        -c "h.pwrite(bytes([$2]) * $4, $3)" -c "h.shutdown()"
}

# --- a load

# keep_writing VOLUME [--readers N] [--within OFFSET+LENGTH]…: writes here and there, many at once, until stop_writing; N connections
# read and compare meanwhile. OFFSET and LENGTH are bytes.
keep_writing() {
    coproc load { exec "$python" "$tests/clients/lib/load.py" "$(uri "$1")" "$dir/expected.img" "${@:2}"; }
    load_pid=$!
    told
}

# writes N: returns when N more writes were acknowledged.
writes() { echo "go $1" >&"${load[1]}"; told; }

# From outage to outage_ends the load waits for the daemon where a connection breaks.
outage() { echo down >&"${load[1]}"; told; }
outage_ends() { echo up >&"${load[1]}"; told; }

# Stops the load, which compares every byte through NBD; `expected.img` is what the medium must hold.
stop_writing() { echo stop >&"${load[1]}"; told; wait "$load_pid"; }

told() {
    read -r -t 90 <&"${load[0]}" || fail "the load ended: see its complaint above"
}
