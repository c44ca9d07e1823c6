#!/usr/bin/env bash
# A hotbay on a hotbay: the one below is killed in mid-write and started again, the medium below it is pulled, and the one
# above knows its volume again, by the identity that the one below tells.
source "$(dirname "$0")/lib.sh"

# below COMMAND…: asks the daemon below, which has a place of its own.
below() { HOTBAY_CONTROL="$dir/below.control" hotbay "$@"; }
start_below() {
    hotbay serve --volume b=b.img --volume other=other.img --listen "unix:$dir/below.sock" \
        --control "$dir/below.control" --state "$dir/below" >>"$dir/below.log" 2>&1 &
    server=$!
    listens below.sock
}

blank b.img 16M
blank other.img 16M
start_below
start_hotbay --volume "a=nbd+unix:///b?socket=$dir/below.sock"
fill a 0x11 0 16M
keep_writing a
writes 200
kill_server
becomes a absent
writes 100
start_below
becomes a present
writes 100
below pull b
below insert b
writes 100
below wait b present --timeout "${patience}s"
is "the state above" "$(state a)" present
stop_writing
kill_hotbay
start_hotbay --volume "a=nbd+unix:///b?socket=$dir/below.sock"
becomes a present

# Under the same address there is another volume now, which holds nothing that would tell.
kill_server
becomes a absent
fill a 0x44 1M 1M
mv b.img away.img
mv other.img b.img
rm -r below below.sock
blank other.img 16M
start_below
event "is not the medium of volume a: it is hotbay:"
is "the state above" "$(state a)" absent
kill -TERM "$server"
wait "$server"
cmp -n 16777216 b.img /dev/zero
