#!/usr/bin/env bash
# A write that hangs lands after newer data was journaled for the same place: the medium is not put in before it has
# landed, and then the newer data goes over it.
source "$(dirname "$0")/lib.sh"

cat >hotbay.toml <<END
[[volume]]
name = "a"
medium = "$dir/a.img"
io_deadline = "1s"
END
blank a.img 16M
start_hotbay hotbay.toml
fill a 0x10 0 64k

hotbay fault a hang on write at 0+64KiB
fill a 0x11 0 64k                       # it hangs, is lost, and is answered by the journal
is "the state" "$(state a)" absent
fill a 0x12 0 64k                       # newer data for the same place
file_holds a.img 0x10 0 64k
sleep 1
is "the state" "$(state a)" absent      # it is there, but not put in
hotbay status a | grep -q 'earlier I/O of a still hangs: a write of 0+65536' || fail "$(hotbay status a)"
refused hotbay insert a
grep -q 'still hangs' complaint || fail "$(cat complaint)"
file_holds a.img 0x10 0 64k

hotbay fault a --clear                  # now it lands
becomes a present
file_holds a.img 0x12 0 64k
holds a 0x12 0 64k
stop_hotbay
file_holds a.img 0x12 0 64k
