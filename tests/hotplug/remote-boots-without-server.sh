#!/usr/bin/env bash
# The daemon starts while the server of its medium is not there: the volume runs on its journal, and takes the medium
# when the server comes. A medium that was ejected stays out as long as its server is there all the time.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
exits 1 hotbay serve --volume "a=$(remote a.img)" --listen "unix:$dir/nbd.sock" --state "$dir/state"
grep -q "no server answers at $dir/a.img.sock" complaint || fail "not told: $(cat complaint)"

serve_file a.img
start_hotbay --volume "a=$(remote a.img)"
fill a 0x11 0 16M
kill_hotbay
kill_server
start_hotbay --volume "a=$(remote a.img)"
becomes a absent
fill a 0x22 4M 1M
holds a 0x22 4M 1M
serve_file a.img
becomes a present
holds a 0x11 0 4M
holds a 0x22 4M 1M

hotbay eject a
kill_hotbay
start_hotbay --volume "a=$(remote a.img)"
fill a 0x33 8M 1M
is "the state after an eject" "$(state a)" absent
kill_server
serve_file a.img
hotbay insert a || becomes a present
becomes a present
stop_hotbay
file_holds a.img 0x22 4M 1M
file_holds a.img 0x33 8M 1M
