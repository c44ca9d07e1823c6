#!/usr/bin/env bash
# A medium in memory is a medium like any other, for trying things out: it may be taken out and put
# back, and holds its bytes until the daemon ends.
source "$(dirname "$0")/lib.sh"

start_hotbay --volume a=mem:16MiB
fill a 0x11 0 16M
hotbay pull a
fill a 0x22 1M 2M
hotbay insert a
holds a 0x11 0 1M
holds a 0x22 1M 2M
holds a 0x11 3M 13M
is "what the journal still holds" "$(field a journal.live_bytes)" 0
