#!/usr/bin/env bash
# `hotbay journal` looks at what a volume wrote while its medium was away: beside a daemon, without
# one, and where the journal is damaged. It changes nothing.
source "$(dirname "$0")/lib.sh"
export HOTBAY_STATE="$dir/state"

exits 1 hotbay journal list
grep -q "^hint: name the daemon's with --state" complaint

blank a.img 16M
start_hotbay --volume a=a.img --volume b=mem:16MiB
fill a 0x11 0 16M
hotbay journal list >list
grep -q '^a  *16 MiB  *whole  *0 B  *0 ' list || fail "$(cat list)"
is "an empty export" "$(hotbay journal export a none.img)" "the journal of volume a holds nothing"
[ ! -e none.img ]

hotbay eject a
fill a 0x22 1M 2M
fill a 0x33 2M 4M

looks() {
    hotbay journal list >list
    grep -q '^a  *16 MiB  *whole  *5 MiB' list || fail "$(cat list)"
    hotbay journal list --json | "$python" -c '
import json, sys
a = next(j for j in json.load(sys.stdin) if j["volume"] == "a")
assert (a["condition"], a["live_bytes"], a["size_bytes"]) == ("whole", 5 << 20, 16 << 20), a'
    hotbay journal show a --json --extents --records | "$python" -c '
import json, sys
shown = json.load(sys.stdin)
live = [(e["offset_bytes"], e["length_bytes"]) for e in shown["live"]]
assert live[0][0] == 1 << 20 and sum(length for _, length in live) == 5 << 20, live
assert sum(r["length_bytes"] for r in shown["records"] if r["kind"] == "write") == 6 << 20
assert all(s["records"] for s in shown["segments"] if s["status"] == "needed")'
    hotbay journal show a --extents --records >/dev/null
    hotbay journal verify | grep -q '^volume a: whole, 5 MiB in'
    refused hotbay journal verify c
    rm -f lacks.img copy.img
    hotbay journal export a lacks.img
    file_holds lacks.img 0 0 1M
    file_holds lacks.img 0x22 1M 1M
    file_holds lacks.img 0x33 2M 4M
    file_holds lacks.img 0 6M 10M
    refused hotbay journal export a lacks.img
    blank copy.img 8M
    refused hotbay journal export a copy.img --onto
    cp a.img copy.img
    hotbay journal export a copy.img --onto
    file_holds copy.img 0x11 0 1M
    file_holds copy.img 0x33 2M 4M
    file_holds copy.img 0x11 6M 10M
}

looks
refused hotbay journal export a a2/none.img
stop_hotbay
find state -type f -exec sha256sum {} + | sort >then
looks
# A volume's name that is nearly right, and a state directory of nobody.
refused hotbay journal show aa
grep -q '^hint: did you mean a?' complaint || fail "$(cat complaint)"

# Reading never writes.
find state -type f -exec sha256sum {} + | sort | cmp then -

# One byte rots: it is found, and the rest is got out.
segment=$(find state/volumes/a -name '*.segment' | sort | head -n 1)
printf '\x23' | dd of="$segment" bs=1 seek=300000 conv=notrunc status=none
find state -type f -exec sha256sum {} + | sort >then
refused hotbay journal verify
grep -q 'volume a is damaged: segment 1 is damaged at byte' complaint || fail "$(cat complaint)"
grep -q "^hint: .*hotbay journal export a FILE" complaint
hotbay journal list | grep -q '^a  *16 MiB  *damaged'
rm -f lacks.img
hotbay journal export a lacks.img 2>complaint
grep -q '^warning: segment 1 is damaged at byte' complaint || fail "$(cat complaint)"
qemu-io -f raw -r -c 'read -P 0x23 300000 1' lacks.img >io.log 2>&1 && fail "a rotten byte was exported"
find state -type f -exec sha256sum {} + | sort | cmp then -
