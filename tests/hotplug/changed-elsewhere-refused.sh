#!/usr/bin/env bash
# The right disk comes back, but somebody wrote to it meanwhile in another machine: neither the
# journal nor the change is thrown away behind anybody's back. The user decides.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
mke2fs -q -t ext2 a.img
start_hotbay --volume a=a.img
holds a 0 15M 64k
hotbay eject a
fill a 0x22 8M 1M

mkdir there && echo 'written elsewhere' >there/note
debugfs -w -R 'write there/note note' a.img >/dev/null 2>&1
sha256sum a.img >then
refused hotbay insert a
grep -q '^hint: ' complaint
sha256sum --quiet -c then
holds a 0x22 8M 1M

hotbay resolve a discard
becomes a present
debugfs -R 'cat note' a.img 2>/dev/null | grep -q 'written elsewhere'
holds a 0 8M 1M
stop_hotbay
