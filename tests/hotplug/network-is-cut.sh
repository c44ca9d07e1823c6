#!/usr/bin/env bash
# A network that is cut, and nobody is left to say so. What is on the other side as a medium is lost within its bound, idle or in use,
# and comes back by itself; who is there as a client does not keep its place for ever, idle or with replies on their way, and who only
# does not take its replies keeps it. In networks of its own.
[ -n "${OWN_NETWORK:-}" ] || OWN_NETWORK=1 exec unshare --map-root-user --net bash "$0"
source "$(dirname "$0")/lib.sh"
patience=140

# --- two networks, and a cable between them
unshare --net sleep infinity &
far=$!
until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
at_far() { nsenter --target "$far" --net "$@"; }
# Behind `&` alone: its process is the command itself, so that it ends with the script.
goes_on_at_far() { exec nsenter --target "$far" --net "$@"; }
ip link add near type veth peer name far netns "$far"
ip link set lo up
ip address add 10.77.0.1/24 dev near
at_far ip address add 10.77.0.2/24 dev far
ip link set near up
at_far ip link set far up

# serve_far FILE PORT
serve_far() {
    goes_on_at_far nbdkit --foreground --exit-with-parent --ipaddr 10.77.0.2 --port "$2" file "$1" &
    for tries in $(seq 400); do
        nbdinfo --size "nbd://10.77.0.2:$2/" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "no server answers at port $2"
}

# The deadline finds what is in use; what is idle has nothing but TCP.
for name in idle used; do blank $name.img 16M; done
serve_far idle.img 10001
serve_far used.img 10002
cat >h.toml <<CONFIG
[[volume]]
name = "idle"
medium = "nbd://10.77.0.2:10001/"
io_deadline = "1h"
[[volume]]
name = "used"
medium = "nbd://10.77.0.2:10002/"
io_deadline = "2s"
[[volume]]
name = "open"
medium = "mem:16MiB"
[[volume]]
name = "streamed"
medium = "mem:16MiB"
[[volume]]
name = "slow"
medium = "mem:64MiB"
CONFIG
start_hotbay h.toml --listen tcp:10.77.0.1:10809 --listen tcp:127.0.0.1:10810
fill idle 0x11 0 16M
fill used 0x11 0 16M

goes_on_at_far nbdsh -u nbd://10.77.0.1/open -c 'h.pread(512, 0)' -c 'print("open", flush=True)' -c 'import signal; signal.pause()' >client.log &
until grep -qs open client.log; do sleep 0.05; done
is "the sessions" "$(field open sessions)" 1

# More than both sockets hold is asked for, and nothing of it taken: the window stays closed.
fill slow 0x33 0 64M
nbdsh -u nbd://127.0.0.1:10810/slow -c '
import nbd, os, time
asked = [h.aio_pread(nbd.Buffer(1 << 20), place << 20) for place in range(64)]
print("asked", flush=True)
while not os.path.exists("go"): time.sleep(0.1)
whole = h.pread(1 << 20, 0)
assert whole == bytes([0x33]) * (1 << 20)
while not all(h.aio_command_completed(cookie) for cookie in asked if cookie): h.poll(-1)
' >slow.log &
slow=$!
until grep -qs asked slow.log; do sleep 0.05; done

fill streamed 0x33 0 16M
goes_on_at_far nbdsh -u nbd://10.77.0.1/streamed -c '
import nbd
buffers = [nbd.Buffer(1 << 20) for _ in range(4)]
asked = [h.aio_pread(buffer, 0) for buffer in buffers]
print("open", flush=True)
while True:
    for place, cookie in enumerate(asked):
        while not h.aio_command_completed(cookie): h.poll(-1)
        asked[place] = h.aio_pread(buffers[place], 0)
' >streamed.log &
until grep -qs open streamed.log; do sleep 0.05; done
is "the sessions" "$(field streamed sessions)" 1

# --- cut
at_far ip link set far down
fill used 0x22 1M 1M
becomes used absent
becomes idle absent
fill idle 0x22 1M 1M
holds used 0x22 1M 1M
sessions() { echo "$(field open sessions) $(field streamed sessions)"; }
for tries in $(seq "$patience"); do
    [ "$(sessions)" != "0 0" ] || break
    sleep 1
done
is "the sessions of clients that are cut off" "$(sessions)" "0 0"
grep -q 'the client has acknowledged nothing for [0-9]* s' log || fail "not said: $(tail log)"
sleep 20
is "the sessions of a client that does not take its replies" "$(field slow sessions)" 1
touch go
wait "$slow" || fail "a client that took its replies late did not get them"

# --- mended
at_far ip link set far up
for name in idle used; do
    becomes $name present
    holds $name 0x22 1M 1M
    holds $name 0x11 2M 14M
done
stop_hotbay
for name in idle used; do
    file_holds $name.img 0x22 1M 1M
    file_holds $name.img 0x11 2M 14M
done
