#!/usr/bin/env bash
# A medium that is reached in TLS: nbdkit and hotbay as servers, with certificates on both sides; the server is killed and started
# again; whoever is not the right server, or does not speak TLS, is refused with the reason.
source "$(dirname "$0")/lib.sh"

hotbay tls make tls >/dev/null
hotbay tls make other >/dev/null
with_tls() { serve_port "$1" --tls=require --tls-certificates="$dir/tls" --tls-verify-peer "${@:2}"; }
serve_port() {
    nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" "${@:2}" file "$1" 2>>nbdkit.log &
    server=$!
    for tries in $(seq 400); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        kill -0 "$server" || fail "nbdkit does not start at port $port"
        sleep 0.05
    done
    fail "no server listens at port $port"
}
port=$((20000 + RANDOM % 20000))
disk="nbds://localhost:$port/?tls-certificates=$dir/tls"

blank b.img 16M
with_tls b.img
start_hotbay --volume "b=$disk"
is "the medium" "$(field b medium)" "$disk"
fill b 0x11 0 16M
kill_server
becomes b absent
fill b 0x22 4M 1M
with_tls b.img
becomes b present
holds b 0x22 4M 1M
holds b 0x11 5M 11M
hotbay eject b

# Refused, and nothing was said in the clear.
refuses() {
    refused hotbay insert b "$2"
    grep -q -- "$1" complaint || fail "not '$1': $(cat complaint)"
}
at() { echo "nbds://localhost:$port/?$1"; }
refuses "it is not said whose certificate" "$(at "")"
refuses "$dir/none/ca-cert.pem cannot be used" "$(at "tls-certificates=$dir/none")"
refuses "invalid peer certificate" "$(at "tls-certificates=$dir/other")"
refuses "not valid for name" "$(at "tls-certificates=$dir/tls&tls-hostname=elsewhere.example")"
refuses "nbds in place of nbd" "nbd://localhost:$port/"
mkdir bare && cp tls/ca-cert.pem bare
refuses "nbds://localhost:$port" "$(at "tls-certificates=$dir/bare")"
mkdir long && head -c 2M /dev/zero >long/ca-cert.pem
refuses "longer than 1 MiB" "$(at "tls-certificates=$dir/long")"
hotbay insert b "$(at "tls-certificates=$dir/tls&tls-hostname=127.0.0.1")" >/dev/null
hotbay eject b
kill_server

# One that is right in all but the time: it held for the second in which it was made, that one included.
mkdir expired && cp tls/ca-cert.pem expired
printf 'subjectAltName = DNS:localhost\nextendedKeyUsage = serverAuth\n' >extensions
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
    -keyout expired/server-key.pem -out request 2>/dev/null
openssl x509 -req -in request -CA tls/ca-cert.pem -CAkey tls/ca-key.pem -days 0 -extfile extensions \
    -out expired/server-cert.pem 2>/dev/null
while openssl x509 -checkend -1 -noout -in expired/server-cert.pem >/dev/null; do sleep 0.1; done
serve_port b.img --tls=require --tls-certificates="$dir/expired"
refuses "certificate expired" "$disk"
kill_server
serve_port b.img
refuses "does not speak TLS" "$disk"
kill_server
stop_hotbay
file_holds b.img 0x22 4M 1M
file_holds b.img 0x11 5M 11M

# On a hotbay, over its Unix socket, and over several connections; not looking who it is.
hotbay serve --tls tls --listen "unix:$dir/below.sock" --listen "tcp:127.0.0.1:$port" --volume b=b.img \
    --control "$dir/below.control" --state "$dir/below" >>below.log 2>&1 &
below=$!
listens below.sock
start_hotbay --volume "a=nbds://localhost:$port/b?tls-certificates=$dir/tls&connections=3"
holds a 0x22 4M 1M
fill a 0x33 0 8M
is "the map from above" "$(nbdinfo --map "$(uri a)" | awk '{ print $3; exit }')" 0
stop_hotbay
rm -r state
mkdir mixed && cp tls/client-*.pem mixed && cp other/ca-cert.pem mixed
start_hotbay --volume "a=nbds+unix:///b?socket=$dir/below.sock&tls-certificates=$dir/mixed&tls-verify-peer=false"
holds a 0x33 0 8M
stop_hotbay
kill -TERM "$below"
wait "$below"
