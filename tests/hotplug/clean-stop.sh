#!/usr/bin/env bash
# A stop on request ends well in every state, says goodbye on the sockets, and forgets nothing.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
write_unflushed a 0x11 0 1048576
stop_hotbay
file_holds a.img 0x11 0 1M
[ ! -e "$HOTBAY_CONTROL" ] || fail "the control socket is left behind"
[ ! -e nbd.sock ] || fail "the NBD socket is left behind"

start_hotbay --volume a=a.img
hotbay eject a
write_unflushed a 0x22 0 1048576
stop_hotbay                             # with the medium away
file_holds a.img 0x11 0 1M

start_hotbay --volume a=a.img
is "the state" "$(state a)" absent
holds a 0x22 0 1M
hotbay insert a
stop_hotbay
file_holds a.img 0x22 0 1M
