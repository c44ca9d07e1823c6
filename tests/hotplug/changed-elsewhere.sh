#!/usr/bin/env bash
# A medium that was changed while it was away, or is an older copy: nothing is written to it before somebody has decided.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
mke2fs -q -t ext4 a.img
start_hotbay --volume a=a.img

hotbay eject a
hotbay insert a                          # unchanged
hotbay eject a
fill a 0x22 8M 1M
cp a.img right.img

is_in_conflict() {                       # is_in_conflict HOW: the medium that is a.img now
    sha256sum a.img >then
    refused hotbay insert a
    is "state after $1" "$(state a)" conflict
    grep -q 'hotbay resolve a' complaint || fail "no hint: $(cat complaint)"
    sha256sum --quiet -c then            # nothing was written to it
}

given_back() {                           # as it was, and the right one in its place
    hotbay eject a
    is state "$(state a)" absent
    sha256sum --quiet -c then
    cp right.img a.img
}

echo changed >file
debugfs -w -R 'write file changed' a.img 2>/dev/null
is_in_conflict debugfs
holds a 0x22 8M 1M                       # the journal goes on
given_back
mke2fs -q -F -t ext4 a.img
is_in_conflict mke2fs
given_back
dd if=/dev/urandom of=a.img bs=4096 seek=4 count=1 conv=notrunc status=none
is_in_conflict dd
given_back

hotbay insert a                          # its own, as it was
holds a 0x22 8M 1M
hotbay eject a
cp right.img a.img                       # as it was before, and nothing is in the journal
is_in_conflict 'an older copy'
given_back

hotbay resolve a replay 2>complaint && fail 'nothing is in conflict'
is_in_conflict 'the older copy once more'
hotbay wait a conflict --timeout 0s
hotbay resolve a save saved.img --state "$dir/state"
hotbay resolve a discard
is 'state after discard' "$(state a)" present
e2fsck -fn a.img >/dev/null
stop_hotbay
