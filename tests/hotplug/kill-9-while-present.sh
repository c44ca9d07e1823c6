#!/usr/bin/env bash
# The daemon dies with its medium in: it is in again after the start, with what was flushed.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
fill a 0x11 0 16M
fill a 0x22 1M 2M

kill_hotbay
start_hotbay --volume a=a.img
becomes a present
holds a 0x11 0 1M
holds a 0x22 1M 2M
fill a 0x33 0 64k
stop_hotbay
file_holds a.img 0x33 0 64k
file_holds a.img 0x22 1M 2M
