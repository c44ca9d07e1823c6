#!/usr/bin/env bash
# An opening that hangs: insert is refused after io_deadline, once more while it still hangs, and works when it has ended.
source "$(dirname "$0")/lib.sh"

cat >hotbay.toml <<END
[[volume]]
name = "a"
medium = "$dir/a.img"
io_deadline = "1s"
auto_insert = false
END
blank a.img 16M
start_hotbay hotbay.toml
for what in open identify; do
    becomes a present
    hotbay pull a
    fill a 0x21 0 64k
    hotbay fault a "hang on $what"
    refused hotbay insert a
    grep -q 'has not answered' complaint || fail "$what: $(cat complaint)"
    refused hotbay insert a
    grep -q 'still hangs' complaint || fail "$what: $(cat complaint)"
    holds a 0x21 0 64k
    hotbay fault a --clear
    hotbay insert a
    file_holds a.img 0x21 0 64k
done
stop_hotbay
