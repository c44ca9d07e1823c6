#!/usr/bin/env bash
# What the programs that people have make of an export: libnbd's, qemu's, fio's. Each writes or reads every byte, and another one
# checks it.
source "$(dirname "$0")/lib.sh"

blank a.img 32M
cat >h.toml <<CONFIG
[[volume]]
name = "a"
medium = "a.img"
description = "every client's"
[[volume]]
name = "fixed"
medium = "mem:1MiB"
read_only = true
rotational = true
CONFIG
start_hotbay h.toml

# nbdinfo: all that it can ask for
nbdinfo --json "$(uri a)" | "$python" -c '
import json, sys
about = json.load(sys.stdin)
export = about["exports"][0]
assert about["protocol"] == "newstyle-fixed" and about["structured"], about
assert export["description"].startswith("every client\u0027s, volume a, 32MiB, id "), export
assert export["export-size"] == 32 << 20 and export["can_multi_conn"] and not export["is_read_only"], export
assert (export["block_size_minimum"], export["block_size_maximum"]) == (1, 64 << 20), export
assert "base:allocation" in export["contexts"], export'
nbdinfo --list "$(uri '')" | grep -q 'export="fixed"'
for can in connect read write flush fua trim zero cache multi-conn df fast-zero 'structured reply'; do
    nbdinfo --can "$can" "$(uri a)" || fail "it cannot $can"
done
nbdinfo --is read-only "$(uri fixed)" && nbdinfo --is rotational "$(uri fixed)"
! nbdinfo --can write "$(uri fixed)" || fail "what is read-only can be written"
! nbdinfo --is read-only "$(uri a)" || fail "what can be written is read-only"

# nbdcopy, there and back over several connections, a hole in the middle
head -c 8M /dev/urandom >data.img
truncate -s 24M data.img
head -c 8M /dev/urandom >>data.img
nbdcopy --flush --connections=4 --requests=64 data.img "$(uri a)"
cmp data.img a.img
nbdinfo --map --totals "$(uri a)" | grep -q '16777216 .* hole,zero'
nbdcopy --connections=4 "$(uri a)" back.img
cmp data.img back.img
nbdcopy "$(uri a)" - | cmp data.img

# qemu-img: compare, convert, map, bench
qemu-img compare -f raw -F raw data.img "$(uri a)" >/dev/null
qemu-img map -f raw --output=json "$(uri a)" | grep -q '"start": 8388608, "length": 16777216, .*"zero": true, "data": false'
qemu-img convert -f raw -O qcow2 "$(uri a)" a.qcow2
qemu-img compare -f qcow2 -F raw a.qcow2 data.img >/dev/null
qemu-io -f raw -c 'write -P 0x11 0 32M' -c flush "$(uri a)" >/dev/null
qemu-img convert -n -f qcow2 -O raw a.qcow2 "$(uri a)"
qemu-img compare -f raw -F raw data.img "$(uri a)" >/dev/null
qemu-img bench -f raw -c 500 -d 16 -s 4096 "$(uri a)" >/dev/null
qemu-img bench -f raw -w -c 500 -d 16 -s 65536 --flush-interval=50 "$(uri a)" >/dev/null
qemu-io -f raw -c 'write -z 0 1M' -c 'write -zu 1M 1M' -c 'discard 2M 1M' -c 'read -P 0 0 3M' "$(uri a)" >/dev/null
! qemu-io -f raw -c 'write 0 512' "$(uri fixed)" >/dev/null 2>&1 || fail "qemu writes to what is read-only"

# fio: random writes of all sizes, verified while they go on, the medium pulled in between
fio --name=v --ioengine=nbd --uri="$(uri a)" --rw=randrw --bsrange=512-128k --size=24M --iodepth=32 --verify=crc32c \
    --verify_backlog=64 --do_verify=1 --fsync=50 --randrepeat=1 --output=fio.log &
load=$!
hotbay pull a
hotbay insert a
wait "$load" || fail "fio: $(cat fio.log)"
stop_hotbay
