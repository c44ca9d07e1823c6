#!/usr/bin/env bash
# Where the volume's export was, the server now has another file system. It is refused, with nothing written to it; the
# right one is taken when it is back.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
mke2fs -q a.img
mke2fs -q b.img
cp b.img b.before
serve_file a.img
start_hotbay --volume "a=$(remote a.img)"
holds a 0 15M 64k
kill_server
becomes a absent
fill a 0x33 15M 64k

mv a.img kept.img
mv b.img a.img
serve_file a.img
event "is not the medium of volume a: it holds ext:"
refused hotbay insert a
is "the state" "$(state a)" absent
kill_server
cmp a.img b.before

mv kept.img a.img
serve_file a.img
becomes a present
stop_hotbay
file_holds a.img 0x33 15M 64k
