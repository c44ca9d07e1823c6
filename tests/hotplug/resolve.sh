#!/usr/bin/env bash
# Two ways out of a conflict; swapped files are no conflict, but refused.
source "$(dirname "$0")/lib.sh"

for name in a b; do
    blank $name.img 16M
    mke2fs -q -t ext2 $name.img
done
start_hotbay --bays 2 --volume a=a.img --volume b=b.img
hotbay eject a
hotbay eject b
fill a 0x22 8M 1M
mv a.img c.img
mv b.img a.img
mv c.img b.img
refused hotbay insert a a.img
is 'state with swapped files' "$(state a)" absent
mv a.img c.img
mv b.img a.img
mv c.img b.img

conflict() {
    dd if=/dev/urandom of=a.img bs=1024 seek=32 count=1 conv=notrunc status=none
    refused hotbay insert a a.img
    is state "$(state a)" conflict
}

conflict
hotbay resolve a save saved.img --state "$dir/state"
file_holds saved.img 0x22 8M 1M
is 'state after save' "$(state a)" conflict
hotbay resolve a replay                  # the journal over what is there
is 'state after replay' "$(state a)" present
holds a 0x22 8M 1M

hotbay eject a
fill a 0x33 4M 64K
conflict
kill_hotbay                              # a restart decides nothing
start_hotbay --bays 2 --volume a=a.img --volume b=b.img
is 'state after a kill' "$(state a)" conflict
hotbay resolve a discard
is 'state after discard' "$(state a)" present
holds a 0x00 4M 64K
stop_hotbay
file_holds a.img 0x22 8M 1M
