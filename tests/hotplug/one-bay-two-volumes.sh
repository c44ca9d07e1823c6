#!/usr/bin/env bash
# One drive with one bay, two media. Both volumes take writes; a read that needs the other medium
# asks for it by name.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
start_hotbay --bays 1 --volume a=a.img --volume b=b.img
becomes a present
is "b" "$(state b)" absent

fill a 0xaa 0 4M
fill b 0xbb 0 4M                        # its medium is not even in
holds b 0xbb 0 4M

refused hotbay insert b                 # the bay is taken
grep -q '^hint: .*--replace' complaint
is "a" "$(state a)" present

holds b 0 8M 1M &                       # never written: only the medium knows
reader=$!
event 'please insert volume b'
hotbay status | grep -q 'please insert volume b'
hotbay insert b --replace
wait "$reader"
is "a" "$(state a)" absent
is "b" "$(state b)" present
fill a 0xac 1M 1M

hotbay insert a --replace
stop_hotbay
file_holds a.img 0xaa 0 1M
file_holds a.img 0xac 1M 1M
file_holds a.img 0xaa 2M 2M
file_holds b.img 0xbb 0 4M
