#!/usr/bin/env bash
# A bit of a journal rots on its disk. The volume does not serve the rotten bytes, does not pretend
# that the journal is shorter than it was, and does not touch the medium.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
hotbay eject a
fill a 0x22 1M 4M
fill a 0x33 8M 4M
stop_hotbay

segment=$(find state -name '*.segment' | sort | head -n 1)
printf '\x23' | dd of="$segment" bs=1 seek=2000000 conv=notrunc status=none
sha256sum a.img "$segment" >then

start_hotbay --volume a=a.img
is "the state" "$(state a)" failed
refused hotbay insert a
! qemu-io -f raw -c 'read 1M 4M' "$(uri a)" >io.log 2>&1 || fail "rotten bytes were served"
! qemu-io -f raw -c 'write 0 4k' "$(uri a)" >io.log 2>&1 || fail "a write was taken"
hotbay events --json | grep '"failed"' | grep -q 'damaged at byte [0-9]'
stop_hotbay
sha256sum --quiet -c then               # reading never writes
