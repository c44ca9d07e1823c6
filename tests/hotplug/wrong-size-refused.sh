#!/usr/bin/env bash
# A medium of another size is not this volume's: it is refused at the bay, and not touched.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank small.img 8M
start_hotbay --volume a=a.img
hotbay eject a
fill a 0x22 0 1M

sha256sum small.img >then
refused hotbay insert a small.img
grep -qi 'size\|bytes\|MiB' complaint
is "the state" "$(state a)" absent
sha256sum --quiet -c then

hotbay insert a a.img
stop_hotbay
file_holds a.img 0x22 0 1M
