#!/usr/bin/env bash
# The medium is torn out while a client writes with many requests in flight, again and again.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
keep_writing a

for round in 1 2 3 4; do
    writes 100
    hotbay pull a
    writes 100
    hotbay insert a
done

stop_writing
stop_hotbay
cmp expected.img a.img
