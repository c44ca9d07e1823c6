#!/usr/bin/env bash
# A volume moves from a file to another server and back, in use. The server dies in mid-copy once: the volume stays
# where it was.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
blank c.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
serve_file b.img
keep_writing a
writes 100
hotbay swap a "$(remote b.img)" >/dev/null
is "the medium" "$(field a medium)" "$(remote b.img)"
writes 300
hotbay swap a c.img >/dev/null
is "the medium" "$(field a medium)" "file:$dir/c.img"
writes 100
kill_server
refused hotbay swap a "$(remote b.img)"

serve_file b.img --filter=delay wdelay=200ms
hotbay swap a "$(remote b.img)" >/dev/null 2>&1 &
swap=$!
becomes a copying
kill_server
! wait "$swap" || fail "a swap onto a server that died is no success"
becomes a present
is "the medium" "$(field a medium)" "file:$dir/c.img"
writes 100
stop_writing
stop_hotbay
cmp c.img expected.img
