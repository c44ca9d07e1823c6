#!/usr/bin/env bash
# A read that only the medium can answer waits for it, and never learns that it was away.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
hotbay eject a
fill a 0x22 1M 1M

holds a 0x11 8M 1M &
reader=$!
event 'please insert volume a'
is "requests that wait" "$(field a waiting_requests | sed 's/^[1-9][0-9]*$/some/')" some
fill a 0x33 2M 1M                       # others go on meanwhile
kill -0 "$reader" || fail "the read did not wait"

hotbay insert a
wait "$reader"
is "requests that wait" "$(field a waiting_requests)" 0
