#!/usr/bin/env bash
# Servers that fail, are slow, or stop to answer: nobody waits beyond the bounds, and nobody is told what is not so.
source "$(dirname "$0")/lib.sh"

cat >h.toml <<CONFIG
[[volume]]
name = "a"
medium = "$(remote a.img)"
io_deadline = "2s"
absent_wait = "2s"
CONFIG
# tries COMMAND: one of qemu-io's; whether it was done. It must end by itself.
tries() {
    local code=0
    timeout "$patience" qemu-io -f raw -c "$1" "$(uri a)" >io.log 2>&1 || code=$?
    [ "$code" != 124 ] || fail "no answer to: $1"
    [ "$code" = 0 ] && ! grep -q "failed\|error" io.log
}

# error: reads and writes fail, and say so; what was answered is there, and a lost medium is a lost medium.
blank a.img 16M
serve_file a.img
start_hotbay h.toml
fill a 0x11 0 16M
kill_server
becomes a absent
serve_file a.img --filter=error error-pread=EIO error-pread-rate=100% error-pread-file="$dir/fails"
becomes a present
holds a 0x11 0 1M
touch fails
! tries "read -P 0x11 0 64k" || fail "what cannot be read was read"
is "the state" "$(state a)" present
rm fails
holds a 0x11 0 16M

# A write that the server refuses is not lost, whatever is answered: the journal has it, or the client knows.
kill_server
becomes a absent
serve_file a.img --filter=error error-pwrite=ENOSPC error-pwrite-rate=100% error-pwrite-file="$dir/fails"
becomes a present
touch fails
if tries "write -P 0x22 1M 64k"; then
    rm fails
    holds a 0x22 1M 64k
else
    rm fails
    fill a 0x22 1M 64k
fi
becomes a present
holds a 0x22 1M 64k
kill_server
becomes a absent

# delay: slow, and within the deadline, which also bounds the reads by which it is recognised: they are asked for together.
serve_file a.img --threads=64 --filter=delay rdelay=300ms wdelay=300ms
becomes a present
fill a 0x33 2M 64k
holds a 0x33 2M 64k
is "the state" "$(state a)" present
kill_server
becomes a absent

# pause: silent from one moment to the next. Writes go on, reads end at their bound, and when it goes on nothing old lands.
serve_file a.img --filter=pause pause-control="$dir/pause.sock"
becomes a present
pause() { "$python" -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("pause.sock"); s.send(sys.argv[1].encode()); s.recv(1)' "$1"; }
pause p
tries "write -P 0x44 3M 64k" || fail "a write is not taken: $(cat io.log)"
becomes a absent
tries "read -P 0x44 3M 64k" || fail "what is in the journal is not read: $(cat io.log)"
! tries "read -P 0x11 8M 64k" || fail "what only the silent server has was read"
tries "write -P 0x55 3M 64k" || fail "a write is not taken: $(cat io.log)"
pause r
becomes a present
holds a 0x55 3M 64k
stop_hotbay
file_holds a.img 0x55 3M 64k
file_holds a.img 0x33 2M 64k
file_holds a.img 0x22 1M 64k
file_holds a.img 0x11 4M 12M
