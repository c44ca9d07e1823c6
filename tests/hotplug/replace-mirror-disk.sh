#!/usr/bin/env bash
# A disk of a mirror breaks under a load that compares what it reads, and a fresh one is put in its place. That is torn out, and the
# daemon killed, before it has everything. In the end both hold all that was written, and the broken one is not taken back. A volume
# that is wholly in its journal gets a fresh disk too, also where the daemon is killed in the replay.
source "$(dirname "$0")/lib.sh"

blank a.img 24M
blank b.img 24M
serve() { start_hotbay --layout mirror --volume a=a.img --volume b=b.img; }
serve

# fault_comes: returns once the fault that was armed for a has come.
fault_comes() {
    local tries
    for tries in $(seq 600); do
        [ "$(field a faults | grep -c "'fired': 1")" = 1 ] && return
        sleep 0.05
    done
    fail "the fault of a has not come: $(field a faults)"
}
in_sync b

keep_writing "" --readers 1
writes 200
mv a.img broken.img
becomes a absent
behind a
writes 200

blank used.img 24M
mke2fs -q -t ext2 used.img
cp used.img used.before
refused hotbay insert a used.img --new
grep -q '^error: .*used.img is not empty: it holds ext:' complaint || fail "$(cat complaint)"
grep -q '^hint: .*wipefs' complaint || fail "$(cat complaint)"
cmp used.img used.before || fail "a refused medium was written to"
refused hotbay insert a b.img --new
blank small.img 16M
refused hotbay insert a small.img --new

# The fresh one is torn out before it has everything: in the replay, which is told, or in the copying after it.
hotbay fault a lose-unsynced on write 12
hotbay insert a 'file:fresh.img?create=24MiB' --new || is "the state" "$(state a)" absent
fault_comes
becomes a absent
is "whether a has everything" "$(field a copy.in_sync)" False
writes 100
# It is back by itself, without what it had not synced, and the daemon is killed with the copying in the middle of a write.
hotbay fault a --clear hang on write 8
fault_comes
is "whether a has everything" "$(field a copy.in_sync)" False
outage
kill_hotbay
serve
outage_ends
in_sync a
is "the medium of a" "$(field a medium)" "file:$dir/fresh.img"
writes 200
stop_writing
hotbay eject a
behind a
fill "" 0x33 20M 1M
refused hotbay insert a broken.img
grep -q 'given up for' complaint || fail "$(cat complaint)"
hotbay insert a
in_sync a
stop_hotbay
qemu-io -f raw -c 'write -P 0x33 20M 1M' expected.img >io.log
cmp fresh.img expected.img || fail "the fresh disk holds something else than was written"
cmp fresh.img b.img || fail "the copies differ"

rm -r state
blank c.img 4M
start_hotbay --volume c=c.img
hotbay eject c
fill c 0x44 0 3M
rm c.img
blank d.img 4M
refused hotbay insert c d.img --new
grep -q "only the lost medium of volume c has 1048576 of its 4194304 bytes, the first of them at 3145728+1048576" complaint ||
    fail "$(cat complaint)"
fill c 0x55 3M 1M
hotbay fault c hang on write
hotbay insert c d.img --new >inserted 2>&1 &
inserting=$!
becomes c replaying
kill_hotbay
wait "$inserting" && fail "it was told that the fresh disk has everything"
start_hotbay --volume c=c.img
becomes c present
is "the medium of c" "$(field c medium)" "file:$dir/d.img"
stop_hotbay
file_holds d.img 0x44 0 3M
file_holds d.img 0x55 3M 1M
