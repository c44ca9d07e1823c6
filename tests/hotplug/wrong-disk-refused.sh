#!/usr/bin/env bash
# The right size, another file system on it: the journal is not poured over somebody else's disk.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank other.img 16M
mke2fs -q -t ext2 a.img
mke2fs -q -t ext2 other.img
start_hotbay --volume a=a.img
hotbay eject a
fill a 0x22 8M 1M

sha256sum other.img >then
refused hotbay insert a other.img
[ "$(state a)" != present ] || fail "the wrong disk is in"
sha256sum --quiet -c then

mv a.img right.img                      # nor does it help to give it the right name
cp other.img a.img
refused hotbay insert a a.img
cmp a.img other.img

mv right.img a.img
holds a 0x22 8M 1M                      # the writes are still safe
hotbay insert a a.img
stop_hotbay
file_holds a.img 0x22 8M 1M
