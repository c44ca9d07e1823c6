#!/usr/bin/env bash
# Volumes are added, removed and grown while the daemon runs and clients write; a restart and a kill find what was said last,
# and the configuration file is not touched.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
cat >drive.toml <<EOF
[[volume]]
name = "a"
medium = "a.img"
[[volume]]
name = "b"
medium = "b.img"
EOF
cp drive.toml as-it-was.toml
start_hotbay drive.toml
becomes a present
becomes b present
keep_writing a
writes 100

# --- adding
hotbay volume add 'c=c.img?create=16MiB' | grep -q 'volume c is added, and '
becomes c present
is "the bay of c" "$(field c bay)" 3
fill c 0xc1 0 1M
refused hotbay volume add c=d.img
grep -q '^hint: .*hotbay swap c' complaint
refused hotbay volume add d=a.img
grep -q 'is the medium of volume a' complaint
refused hotbay volume add d=none.img
grep -q 'none.img' complaint
[ ! -e state/volumes/d ] || fail "something is left of a volume that was not added"
is "the bays" "$(hotbay status --json | grep -o '"bays":[0-9]*')" '"bays":3'
"$python" -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"{\"request\":\"volume_add\",\"volume\":\"r\",\"medium\":\"file:r.img?create=1MiB\"}\n"); print(s.recv(9999))' "$HOTBAY_CONTROL"
grep -q "file:$dir/r.img" state/volumes.json || fail "where r.img lies is not remembered: $(cat state/volumes.json)"
becomes r present
hotbay volume remove r
hotbay volume add m=mem:1MiB
hotbay volume add n=mem:1MiB                         # of one size, and not the same memory
becomes n present
fill m 0x11 0 1M
holds n 0 0 1M
hotbay volume remove m
hotbay volume add m=mem:1MiB                         # nothing is left of the earlier one, nor of what was asked of it
becomes m present
is "the writes to m" "$(hotbay status --json | "$python" -c 'import json, sys
print(*[e["writes"]["requests"] for e in json.load(sys.stdin)["exports"] if e["name"] == "m"])')" 0
holds m 0 0 1M
hotbay volume remove m
hotbay volume remove n

# --- removing
hotbay volume remove b | grep -q 'nothing is kept'
refused hotbay status b
[ ! -e state/volumes/b ] || fail "something is kept of b"
exits 1 timeout 10 qemu-io -f raw -c 'read 0 512' "$(uri b)"
refused hotbay volume remove a                       # the load has it open
grep -q 'is open in a session' complaint
grep -q '^hint: .*--close-sessions' complaint
hotbay eject c
fill c 0xc2 1M 1M
refused hotbay volume remove c
grep -q '^hint: .*--keep-journal' complaint
hotbay volume remove c --keep-journal | grep -q "its journal is kept in $dir/state/volumes/c"
hotbay journal --state state export c c-journal.img >/dev/null
file_holds c-journal.img 0xc2 1M 1M
writes 100
stop_writing

# --- neither comes back by itself, nor is one lost
kill_hotbay
start_hotbay drive.toml
is "the volumes" "$(hotbay status --json | grep -o '"name":"[abc]","export"' | tr -d '\n')" '"name":"a","export"'
grep -q 'volume b of the configuration is not served' log
refused hotbay volume remove a
grep -q 'is the only one' complaint

refused hotbay volume add c=other.img                # its journal is another medium's
grep -q '^hint: .*hotbay volume add c=file:.*c.img' complaint
hotbay volume add c=c.img
holds c 0xc2 1M 1M                                   # from the journal that was kept
hotbay insert c
hotbay volume add b=b.img
becomes b present

# --- growing, under load
keep_writing c
writes 100
hotbay volume grow c 32MiB | grep -q 'open sessions know the earlier size'
writes 100
is "the size" "$(nbdinfo --size "$(uri c)")" $((32 << 20))
fill c 0xc3 31M 1M
stop_writing
refused hotbay volume grow c 8MiB
refused hotbay volume grow b 1000PiB
grep -q '^hint: ' complaint
holds b 0 15M 1M
stop_hotbay
is "the medium" "$(stat -c %s c.img)" $((32 << 20))
cmp -n $((16 << 20)) c.img expected.img || fail "c holds something else than was written"
start_hotbay drive.toml
becomes c present
holds c 0xc3 31M 1M

# --- the file is its user's, and counts where it says the same
cmp drive.toml as-it-was.toml
stop_hotbay
printf '[[volume]]\nname = "c"\nmedium = "c.img"\nauto_insert = false\n' >>drive.toml
start_hotbay drive.toml
is "what is remembered" "$(tr -d ' \n' <state/volumes.json)" '{"format":1,"added":[],"removed":[]}'
is "the size of c" "$(field c size_bytes)" $((32 << 20))
stop_hotbay

# --- where volumes make one disk they stay
start_hotbay drive.toml --layout partitions
refused hotbay volume add d=a.img
grep -q 'in layout partitions all volumes are one disk' complaint
refused hotbay volume remove b
refused hotbay volume grow b 32MiB
stop_hotbay
