#!/usr/bin/env bash
# A crash of the daemon is not a removal of anything: the journal, the state and the volume are as
# they were, and the medium that was away is not put in by itself.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
hotbay eject a
fill a 0x22 1M 2M

kill_hotbay
start_hotbay --volume a=a.img
is "the state" "$(state a)" absent
holds a 0x22 1M 2M
fill a 0x33 2M 2M

kill_hotbay
start_hotbay --volume a=a.img
hotbay insert a
stop_hotbay
file_holds a.img 0x11 0 1M
file_holds a.img 0x22 1M 1M
file_holds a.img 0x33 2M 2M
file_holds a.img 0x11 4M 12M
