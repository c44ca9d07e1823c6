#!/usr/bin/env bash
# Two disks change places in one bay while a client writes to the first and another to the second.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
start_hotbay --bays 1 --volume a=a.img --volume b=b.img
keep_writing a

for round in 1 2 3; do
    writes 100
    hotbay insert b --replace
    fill b "0x5$round" 0 8M
    writes 100
    hotbay insert a --replace
done

stop_writing
hotbay insert b --replace
stop_hotbay
cmp expected.img a.img
file_holds b.img 0x53 0 8M
