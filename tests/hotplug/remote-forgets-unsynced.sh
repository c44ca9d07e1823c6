#!/usr/bin/env bash
# A server with a write-back cache is killed again and again in mid-write, and forgets each time what it was not told to
# flush. No write that was acknowledged is missing.
source "$(dirname "$0")/lib.sh"

serve() { serve_file a.img --filter=cache cache=writeback; }

blank a.img 16M
serve
cat >hotbay.toml <<END
[[volume]]
name = "a"
medium = "$(remote a.img)"
auto_insert = false
END
start_hotbay hotbay.toml
keep_writing a
for round in $(seq 12); do
    writes 100
    kill_server
    becomes a absent
    writes 50
    serve
    hotbay insert a
    becomes a present
done
stop_writing
stop_hotbay
cmp a.img expected.img
