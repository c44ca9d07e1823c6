#!/usr/bin/env bash
# What cannot be a medium is refused in words that say what to do; a drive that is there is not touched by it.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
blank small.img 8M
start_hotbay --volume a=a.img

says() { refused hotbay swap a "$2"; grep -q -- "$1" complaint || fail "not '$1': $(cat complaint)"; }

says "no server answers at $dir/nobody.sock" "$(remote nobody)"
says "no server answers at 127.0.0.1 port 1:" "nbd://127.0.0.1:1/"
says "the host no-such-host.invalid is not found" "nbd://no-such-host.invalid/"
exits 2 hotbay swap a "nbds://127.0.0.1/a?tls-psk-file=/k"
grep -q "tls-psk-file is not known" complaint
exits 2 hotbay swap a "nbd://127.0.0.1/a?connections=99"
grep -q "connections is a number from 1 to 16" complaint
exits 2 hotbay swap a "nbd+unix:///a"
grep -q "socket=PATH is missing" complaint
serve_file b.img --readonly
says "gives it read-only" "$(remote b.img)"
serve_file small.img
says "8388608 bytes, volume a has 16777216" "$(remote small.img)"

blank c.img 16M
mkdir other
hotbay serve --volume c=c.img --listen "unix:$dir/c.sock" --control "$dir/other/control.sock" \
    --state "$dir/other/state" >>other/log 2>&1 &
listens c.sock
says 'has no export `nobody`; it has `c`' "nbd+unix:///nobody?socket=$dir/c.sock"

fill a 0x11 0 16M
holds a 0x11 0 16M
