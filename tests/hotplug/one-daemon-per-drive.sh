#!/usr/bin/env bash
# A second daemon on the same state, or on the same sockets, is refused, and the first one goes on.
# Sockets that a crash left behind are in nobody's way.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 1M

refused timeout "$patience" hotbay serve --volume b=b.img --state "$dir/state" \
    --control "$dir/other.sock" --listen "unix:$dir/other-nbd.sock"
refused timeout "$patience" hotbay serve --volume b=b.img --state "$dir/other" \
    --listen "unix:$dir/other-nbd.sock"
refused timeout "$patience" hotbay serve --volume b=b.img --state "$dir/other" \
    --control "$dir/other.sock" --listen "unix:$dir/nbd.sock"
holds a 0x11 0 1M
fill a 0x12 0 1M

kill_hotbay
[ -S nbd.sock ] || fail "a crash removed a socket"
start_hotbay --volume a=a.img
holds a 0x12 0 1M
