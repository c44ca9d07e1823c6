#!/usr/bin/env bash
# Several connections to one volume: a flush on one covers what was answered on all, in every state.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
head -c 16M /dev/urandom >source.img
start_hotbay --volume a=a.img
nbdinfo --can multi-conn "$(uri a)"

nbdcopy --connections=4 --requests=32 --flush source.img "$(uri a)"
cmp source.img a.img

hotbay eject a
timeout "$patience" "$python" - "$(uri a)" <<'EOF'
import nbd, sys
first, second = nbd.NBD(), nbd.NBD()
first.connect_uri(sys.argv[1])
second.connect_uri(sys.argv[1])
first.pwrite(b"\x22" * 65536, 0)
assert second.pread(65536, 0) == b"\x22" * 65536
second.flush()
EOF
kill_hotbay
start_hotbay --volume a=a.img
nbdcopy --connections=4 "$(uri a)" - >/dev/null &     # waits for the medium
hotbay insert a
wait $!
holds a 0x22 0 64k
