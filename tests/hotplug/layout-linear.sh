#!/usr/bin/env bash
# Two volumes one after the other: a request across the seam is one request, also while one of the two media is away.
source "$(dirname "$0")/lib.sh"

blank a.img 8M
blank b.img 16M
cat >linear.toml <<END
name = "long"
layout = "linear"
volume = [{ name = "a", medium = "a.img" }, { name = "b", medium = "b.img" }]
END
start_hotbay linear.toml
is "the size" "$(nbdinfo --size "$(uri long)")" $((24 << 20))

fill long 0x11 7M 2M                    # across the seam
file_holds a.img 0x11 7M 1M
file_holds b.img 0x11 0 1M

hotbay pull b
fill long 0x22 $(((8 << 20) - 512)) 1024
holds long 0x22 $(((8 << 20) - 512)) 1024
file_holds a.img 0x22 $(((8 << 20) - 512)) 512
file_holds b.img 0x11 0 512             # still in the journal
hotbay pull a
fill long 0x33 6M 4M
holds long 0x33 6M 4M

# A read across the seam waits for the one medium that has a part of it.
hotbay insert a
is "b" "$(state b)" absent
holds long 0x33 6M 4M
qemu-io -f raw -c "read 7M 4M" "$(uri long)" >read.log 2>&1 &
reader=$!
event 'please insert volume b'
hotbay insert b
wait "$reader" || fail "the read that waited failed: $(cat read.log)"
stop_hotbay
file_holds a.img 0x33 6M 2M
file_holds b.img 0x33 0 2M

# Another content under one volume ends the sessions of the whole disk.
start_hotbay linear.toml
blank c.img 32M
coproc client { exec nbdsh -u "$(uri long)" -c '
import sys
h.pread(512, 0)
print("reading", flush=True)
sys.stdin.readline()
try:
    h.pread(512, 0)
    print("still open", flush=True)
except nbd.Error:
    print("closed", flush=True)'; }
read -r -t "$patience" said <&"${client[0]}"
hotbay swap b c.img --as-is
echo go >&"${client[1]}"
read -r -t "$patience" said <&"${client[0]}"
is "the session" "$said" closed
is "the size" "$(nbdinfo --size "$(uri long)")" $((40 << 20))
stop_hotbay

# What cannot be joined is said at the start.
truncate -s 1000 small.img
code=0
hotbay serve --layout linear --volume a=a.img --volume s=small.img --listen "unix:$dir/x.sock" --state other 2>complaint >output || code=$?
is "the exit code" "$code" 1
grep -q '^error: volume s has 1000 bytes, which is too small to be part of a disk' complaint || fail "$(cat complaint)"
