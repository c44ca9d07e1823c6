#!/usr/bin/env bash
# The medium is an export of another server, which is killed in mid-write. The volume goes on, and when the server is
# back the volume finds it by itself and brings it all that was written meanwhile.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
serve_file a.img
start_hotbay --volume "a=$(remote a.img)"
is "the medium" "$(field a medium)" "$(remote a.img)"
keep_writing a
for round in 1 2 3; do
    writes 200
    kill_server
    becomes a absent
    writes 200
    serve_file a.img
    becomes a present
done
writes 200
stop_writing
event "the medium is lost.*the server closed the connection"
stop_hotbay
cmp a.img expected.img
