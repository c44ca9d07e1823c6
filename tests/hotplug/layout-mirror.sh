#!/usr/bin/env bash
# Two copies of one disk under load: one is pulled and returns, then the other, then both; the daemon is killed. Both copies
# hold the same in the end, and what a copy missed was not kept twice.
source "$(dirname "$0")/lib.sh"

blank a.img 24M
blank b.img 24M
serve() { start_hotbay --layout mirror --volume a=a.img --volume b=b.img; }
serve

in_sync a
in_sync b
is "the size" "$(nbdinfo --size "$(uri hotbay)")" $((24 << 20))

keep_writing ""
writes 200
hotbay pull a
behind a
grown=$(field a journal.live_bytes)
writes 200
is "the journal of a" "$(field a journal.live_bytes)" "$grown"
hotbay insert a
in_sync a
hotbay eject b
behind b
writes 200
hotbay pull a                           # both are away
writes 200
hotbay insert b                         # the older one
is "the copy on b" "$(field b copy.in_sync)" False
writes 200
hotbay insert a
in_sync b
writes 200
stop_writing
for copy in a b; do
    hotbay eject "$copy"
    cmp "$copy.img" expected.img || fail "the copy on $copy holds something else than was written"
    hotbay insert "$copy"
    in_sync "$copy"
done

# Which one is the newest survives a kill.
hotbay eject b
behind b
fill "" 0x5a 3M 2M
hotbay eject a
fill "" 0x5b 4M 2M
kill_hotbay
serve
is "the copy on a" "$(field a copy.in_sync)" True
is "the copy on b" "$(field b copy.in_sync)" False
holds "" 0x5b 4M 2M
hotbay insert b
hotbay insert a
in_sync b
hotbay scrub a | grep -q 'compared, no difference'
stop_hotbay
cmp a.img b.img || fail "the copies differ"
file_holds a.img 0x5a 3M 1M
file_holds a.img 0x5b 4M 2M

# A difference that came from elsewhere is found, and repaired from the copy that is named.
serve
in_sync b
printf x | dd of=b.img bs=1 seek=3500000 conv=notrunc status=none
refused hotbay scrub a
grep -q '^hint: .*--repair' complaint || fail "$(cat complaint)"
hotbay scrub a --repair
hotbay scrub a
refused hotbay swap a c.img --as-is
stop_hotbay
cmp a.img b.img || fail "the copies differ after a repair"

# What was a copy and is served on its own is not taken for equal afterwards: the start says so, and changes nothing.
start_hotbay --volume a=a.img
fill a 0x5c 4M 1M
stop_hotbay
refused hotbay serve --layout mirror --volume a=a.img --volume b=b.img --listen "unix:$dir/nbd.sock" --state state
grep -q '^error: volume a was served on its own' complaint || fail "$(cat complaint)"
grep -q '^hint: to begin anew .*mirror.json away' complaint || fail "$(cat complaint)"
file_holds b.img 0x5b 4M 1M
mv state/mirror.json earlier
serve
in_sync b
stop_hotbay
file_holds b.img 0x5c 4M 1M
