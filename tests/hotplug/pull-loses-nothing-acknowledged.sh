#!/usr/bin/env bash
# A client was told that its writes are done, and never flushed. The medium goes, and with it the
# medium's own cache: what comes back is the medium as it was at its last sync.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
cp a.img synced.img

write_unflushed a 0x22 1048576 2097152
write_unflushed a 0x33 8388608 4096
hotbay pull a
cp synced.img a.img                     # the medium forgets

hotbay insert a
stop_hotbay
file_holds a.img 0x11 0 1M
file_holds a.img 0x22 1M 2M
file_holds a.img 0x11 3M 5M
file_holds a.img 0x33 8M 4k
