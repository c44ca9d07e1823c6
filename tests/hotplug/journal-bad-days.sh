#!/usr/bin/env bash
# What can happen to a journal's files between two lives of a daemon. Each time the volume has failed and says why, the
# medium and the files are left as they were, and what is whole can be got out. Where all of it is gone,
# mark and segments, a journal is begun anew: that is how one is given up.
source "$(dirname "$0")/lib.sh"
export HOTBAY_STATE="$dir/state"
journal=state/volumes/a/journal

blank a.img 16M
blank b.img 16M
start_hotbay --volume a=a.img --volume b=b.img --bays 2
fill a 0x11 0 16M
hotbay eject a
hotbay eject b
fill a 0x22 1M 2M
fill a 0x33 4M 4M
fill b 0x44 0 1M
stop_hotbay
cp -r state good
segment=$(echo $journal/*.segment)
sha256sum a.img >medium

# fails TEXT: a daemon on what is there has failed for this reason, changes nothing, and so says `verify`.
fails() {
    find state -name '*.segment' -exec sha256sum {} + >then
    refused hotbay journal verify a
    grep -q -- "$1" complaint || fail "$1: $(cat complaint)"
    start_hotbay --volume a=a.img
    is "the state" "$(state a)" failed
    hotbay status a | grep -q -- "$1" || fail "$1: $(hotbay status a)"
    refused hotbay insert a
    grep -q '^hint: ' complaint || fail "$(cat complaint)"
    stop_hotbay
    sha256sum --quiet -c then medium
}
anew() { rm -rf state; cp -r good state; }

truncate -s 4M "$segment"                   # in the middle of a record
fails 'segment 1 is damaged at byte'
hotbay journal export a out.img 2>complaint
file_holds out.img 0x22 1M 2M
anew

truncate -s 0 "$segment"
fails 'segment 1 is missing or damaged from its first byte on, where record 1 is flushed data'
anew

rm "$segment"
fails 'segment 1 is missing'
anew

printf '\x02' | dd of="$segment" bs=1 seek=8 conv=notrunc status=none
fails 'format version 2, newer than any known here'
anew

printf '\x23' | dd of="$segment" bs=1 seek=120 conv=notrunc status=none
fails 'segment 1 is damaged at byte'
anew

# Another volume's. Who looks at it is told whose, and gets nothing out of it under a wrong name.
cp state/volumes/b/journal/* $journal/
fails 'belongs to another volume'
refused hotbay journal verify a
grep -q 'belongs to another volume: b$' complaint || fail "$(cat complaint)"
grep -q "^hint: .*put the files of $dir/$journal back" complaint || fail "$(cat complaint)"
hotbay journal list | grep -q "^a .*another volume's" || fail "$(hotbay journal list)"
rm out.img
refused hotbay journal export a out.img
[ ! -e out.img ] || fail "another volume's journal was exported as this one's"
hotbay journal verify b >output
rm -r state/volumes/b                       # now nobody here knows it
refused hotbay journal verify a
grep -q 'belongs to another volume: one with the id ' complaint || fail "$(cat complaint)"
anew

# A mark that is lost says nothing, and nothing is lost with it.
rm $journal/synced.mark
start_hotbay --volume a=a.img
hotbay insert a
holds a 0x33 4M 4M
stop_hotbay
anew

# All of it moved away: begun anew, and said so.
mv $journal aside
start_hotbay --volume a=a.img
hotbay events --json | grep -q 'there was no journal' || fail "nobody says that the journal is gone"
is "the state" "$(state a)" absent
stop_hotbay
