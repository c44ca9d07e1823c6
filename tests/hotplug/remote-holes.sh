#!/usr/bin/env bash
# What a server knows of holes is known to the volume, and to the one above it; a swap and the making of a copy read none of them.
source "$(dirname "$0")/lib.sh"

# map URI: where its data are.
map() { nbdinfo --map "$1" | awk '$3 == 0 { printf "%s+%s ", $1, $2 }'; }

# read_of FILE: how many bytes nbdkit has read of it for its clients.
read_of() {
    "$python" -c '
import re, sys
counts = re.findall(r" Read .*count=(0x[0-9a-f]+)", open(sys.argv[1]).read())
print(sum(int(count, 16) for count in counts))' "$1.log"
}

blank a.img 1G
dd if=/dev/urandom of=a.img bs=1M count=2 seek=100 conv=notrunc status=none
dd if=/dev/urandom of=a.img bs=1M count=1 seek=1000 conv=notrunc status=none
cp --sparse=always a.img expected.img
data="104857600+2097152 1048576000+1048576 "
serve_file a.img --filter=log logfile="$dir/a.img.log"

# By the chunks of structured replies; and, one above, by extended headers.
start_hotbay --volume "a=$(remote a.img)"
is "the map" "$(map "$(uri a)")" "$data"
hotbay serve --volume "top=$(uri a)" --listen "unix:$dir/top.sock" --control "$dir/top.control" \
    --state "$dir/top" >>"$dir/top.log" 2>&1 &
top=$!
listens top.sock
is "the map from above" "$(map "nbd+unix:///top?socket=$dir/top.sock")" "$data"
kill -TERM "$top"
wait "$top"

# To a file; from there to a qcow2, which was full of something else; and back to the first.
before=$(read_of a.img)
hotbay swap a "file:b.img?create=1GiB" >/dev/null
read=$(($(read_of a.img) - before))
[ "$read" -lt 8000000 ] || fail "$read bytes were read of 3 MiB"
qemu-img create -q -f qcow2 c.qcow2 1G
qemu-io -c "write -P 0x77 0 200M" c.qcow2 >/dev/null
kill_server
qemu_serve c.qcow2 qcow2
hotbay swap a "$(remote c.qcow2)" >/dev/null
is "the map" "$(map "$(uri a)")" "$data"
holds a 0 50M 50M
stop_hotbay
kill -TERM "$server"
wait "$server" || true
qemu-img compare -q -f raw -F raw b.img expected.img
qemu-img compare -q -f raw -F qcow2 expected.img c.qcow2
