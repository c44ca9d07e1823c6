#!/usr/bin/env bash
# One drive on a Unix socket and on TCP at once: the same bytes on both.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
port=$("$python" -c '
import socket
with socket.create_server(("127.0.0.1", 0)) as s:
    print(s.getsockname()[1])')
start_hotbay --volume a=a.img --listen "tcp:127.0.0.1:$port"
fill a 0x11 0 1M
qemu-io -f raw -c 'read -P 0x11 0 1M' "nbd://127.0.0.1:$port/a" >/dev/null
qemu-io -f raw -c 'write -P 0x22 1M 1M' "nbd://127.0.0.1:$port/a" >/dev/null
holds a 0x22 1M 1M

nbdinfo --size "nbd://127.0.0.1:$port/" | grep -qx 16777216     # the default export: the first volume
hotbay eject a
qemu-io -f raw -c 'write -P 0x33 2M 1M' "nbd://127.0.0.1:$port/a" >/dev/null
holds a 0x33 2M 1M
