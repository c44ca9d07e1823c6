#!/usr/bin/env bash
# The machine starts, and the stick is at home. The volume is there all the same, and the stick is
# put in when it comes.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
stop_hotbay

mv a.img at-home.img
start_hotbay --volume a=a.img
is "the state" "$(state a)" absent
nbdinfo --size "$(uri a)" | grep -qx 16777216
fill a 0x22 1M 1M
holds a 0x22 1M 1M

mv at-home.img a.img
becomes a present                       # no insert typed
holds a 0x11 0 1M
stop_hotbay
file_holds a.img 0x11 0 1M
file_holds a.img 0x22 1M 1M
file_holds a.img 0x11 2M 14M
