#!/usr/bin/env bash
# The daemon dies in the middle of the replay, and again, and once more: whatever was replayed
# twice or not at all, the medium ends with the last acknowledged bytes.
source "$(dirname "$0")/lib.sh"

blank a.img 64M
start_hotbay --volume a=a.img
fill a 0x11 0 64M

for round in 1 2 3; do
    hotbay eject a 2>/dev/null || true  # the replay may or may not have come to its end
    becomes a absent
    fill a "0x2$round" 0 48M
    fill a "0x4$round" 16M 8M
    hotbay insert a >/dev/null 2>&1 &
    inserting=$!
    event '"inserted"'
    kill_hotbay
    wait "$inserting" || true
    start_hotbay --volume a=a.img
done

holds a 0x23 0 16M
holds a 0x43 16M 8M
[ "$(state a)" = present ] || hotbay insert a
stop_hotbay
file_holds a.img 0x23 0 16M
file_holds a.img 0x43 16M 8M
file_holds a.img 0x23 24M 24M
file_holds a.img 0x11 48M 16M
