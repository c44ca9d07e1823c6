#!/usr/bin/env bash
# The image is deleted under a running client. All that is written afterwards is in the journal,
# and a backup copy of the medium takes it.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
cp a.img backup.img

rm a.img
becomes a absent
fill a 0x22 4M 1M
holds a 0x22 4M 1M

mv backup.img a.img
becomes a present
stop_hotbay
file_holds a.img 0x11 0 4M
file_holds a.img 0x22 4M 1M
file_holds a.img 0x11 5M 11M
