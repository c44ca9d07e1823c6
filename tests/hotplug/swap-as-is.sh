#!/usr/bin/env bash
# `swap --as-is` puts another content in: nothing is copied, and whoever was reading the old one is
# sent away, for a client may not keep caches of a disk that is another one.
source "$(dirname "$0")/lib.sh"

blank old.img 16M
blank new.img 16M
qemu-io -f raw -c 'write -P 0x77 0 16M' new.img >/dev/null
start_hotbay --volume a=old.img
becomes a present
fill a 0x11 0 16M

coproc client { exec nbdsh -u "$(uri a)" -c '
import sys
print("reads", h.pread(1, 0)[0], flush=True)
sys.stdin.readline()
try:
    print("reads", h.pread(1, 0)[0], flush=True)
except nbd.Error:
    print("sent away", flush=True)'; }
read -r first <&"${client[0]}"
is "what the client sees" "$first" "reads 17"

hotbay swap a new.img --as-is
echo >&"${client[1]}"
read -r then <&"${client[0]}"
is "what the client sees" "$then" "sent away"

holds a 0x77 0 16M
fill a 0x78 0 1M
stop_hotbay
file_holds old.img 0x11 0 16M
file_holds new.img 0x78 0 1M
file_holds new.img 0x77 1M 15M
