#!/usr/bin/env bash
# The whole story: take the medium away, go on writing, put it back.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 8M

hotbay eject a
is "the state" "$(state a)" absent
fill a 0x22 1M 2M                       # nobody is told to wait
holds a 0x22 1M 2M                      # and it reads back
file_holds a.img 0x11 0 8M              # the medium is not touched

hotbay insert a
is "the state" "$(state a)" present
is "what the journal still holds" "$(field a journal.live_bytes)" 0
holds a 0x11 0 1M
holds a 0x22 1M 2M
holds a 0x11 3M 5M

stop_hotbay
file_holds a.img 0x11 0 1M
file_holds a.img 0x22 1M 2M
file_holds a.img 0x11 3M 5M
