#!/usr/bin/env bash
# The newest copy of a mirror is lost. Somebody lets the older one count; when the newest returns after all it is in conflict,
# and is what it was until somebody chooses. The daemon is killed in between.
source "$(dirname "$0")/lib.sh"

blank a.img 8M
blank b.img 8M
serve() { start_hotbay --layout mirror --volume a=a.img --volume b=b.img; }
serve
in_sync b
fill "" 0x11 0 1M
refused hotbay resolve b newest
grep -q 'has everything already' complaint || fail "$(cat complaint)"
hotbay eject b
behind b
fill "" 0x22 0 1M
hotbay eject a
fill "" 0x33 1M 64K
mv a.img lost.img
hotbay insert b
is "the copy on b" "$(field b copy.in_sync)" False
hotbay resolve b newest >output
grep -q 'and counts; up to .* may be older' output || fail "$(cat output)"
holds "" 0x11 0 1M
fill "" 0x44 2M 64K
kill_hotbay
serve
is "the copy on b" "$(field b copy.in_sync)" True
holds "" 0x11 0 1M
cp lost.img kept.img
mv lost.img a.img
hotbay insert a 2>complaint || true
becomes a conflict
cmp a.img kept.img || fail "the copy that returned was overwritten"
refused hotbay resolve a replay
hotbay resolve a newest
in_sync b
holds "" 0x22 0 1M
holds "" 0x33 1M 64K
holds "" 0x00 2M 64K
stop_hotbay
cmp a.img b.img || fail "the copies differ"
