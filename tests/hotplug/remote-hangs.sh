#!/usr/bin/env bash
# A server that hangs in mid-write is a loss once io_deadline has passed. What it was asked may still happen, so it is not
# opened again before it has answered that; then it gets what was written meanwhile.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
serve_file a.img
cat >hotbay.toml <<END
[[volume]]
name = "a"
medium = "$(remote a.img)"
io_deadline = "1s"
END
start_hotbay hotbay.toml
keep_writing a
for round in 1 2; do
    writes 200
    kill -STOP "$server"
    becomes a absent
    writes 200
    is "the state" "$(state a)" absent
    kill -CONT "$server"
    becomes a present
done
writes 100

kill -STOP "$server"
becomes a absent
writes 100
kill_server                             # it never answers
serve_file a.img
becomes a present
writes 100
stop_writing
stop_hotbay
cmp a.img expected.img
