#!/usr/bin/env bash
# NBD in TLS with the clients that people have: libnbd, nbdkit and qemu take the files that `hotbay tls make` makes; without TLS, or
# without the right certificate, there is nothing to be had over TCP.
source "$(dirname "$0")/lib.sh"

tcp() { grep -o 'listening on tcp:[^ ]*' "$dir/log" | tail -n 1 | grep -o '[0-9]*$'; }
nbds() { echo "nbds://localhost:$(tcp)/${1:-a}?tls-certificates=$dir/${2:-tls}"; }
qemu_tls() { echo "tls-creds-x509,id=t,dir=$dir/${1:-tls},endpoint=client"; }
opts() { echo "driver=nbd,host=localhost,port=$(tcp),export=a,tls-creds=t"; }

umask 0
hotbay tls make tls --name disks.example >made
is "what it says of it" "$(cut -d' ' -f1 made)" tls
is "the files" "$(ls tls | tr '\n' ' ')" \
    "ca-cert.pem ca-key.pem client-cert.pem client-key.pem server-cert.pem server-key.pem "
for key in tls/*-key.pem; do is "the mode of $key" "$(stat -c %a "$key")" 600; done
openssl verify -CAfile tls/ca-cert.pem tls/server-cert.pem tls/client-cert.pem >/dev/null
openssl x509 -in tls/server-cert.pem -noout -ext subjectAltName | grep -q 'DNS:disks.example'
refused hotbay tls make tls
grep -q 'tls/ca-cert.pem is there already' complaint
hotbay tls client tls laptop laptop >/dev/null
openssl x509 -in laptop/client-cert.pem -noout -subject | grep -q 'CN = laptop'
refused hotbay tls client laptop x y
umask 022

blank a.img 16M
cat >h.toml <<CONFIG
listen = ["unix:$dir/nbd.sock", "tcp:127.0.0.1:0"]
[tls]
mode = "required"
certificate = "tls/server-cert.pem"
key = "tls/server-key.pem"
client_ca = "tls/ca-cert.pem"
[[volume]]
name = "a"
medium = "a.img"
CONFIG
serve() {
    hotbay serve "$@" --control "$HOTBAY_CONTROL" --state "$dir/state" >>"$dir/log" 2>&1 &
    daemon=$!
    answers "$daemon"
}
serve h.toml

# libnbd, nbdcopy, nbdkit and qemu, with a certificate
nbdinfo "$(nbds)" >info
grep -q 'protocol: newstyle-fixed with TLS, using structured packets' info
nbdinfo --list "$(nbds)" | grep -q 'export="a"'
nbdinfo "$(nbds a laptop)" >/dev/null
head -c 16M /dev/urandom >data.img
nbdcopy --flush data.img "$(nbds)"
nbdcopy "$(nbds)" back.img
cmp data.img back.img
qemu-img info --object "$(qemu_tls)" --image-opts "$(opts)" | grep -q 'virtual size: 16 MiB'
qemu-img compare --object "$(qemu_tls)" --image-opts "$(opts)" driver=raw,file.driver=file,file.filename=data.img >/dev/null
qemu-io --object "$(qemu_tls)" --image-opts "$(opts)" -c 'write -P 0x5a 1M 3M' -c 'flush' -c 'read -P 0x5a 1M 3M' >/dev/null
qemu-img map --object "$(qemu_tls)" --image-opts "$(opts)" >/dev/null
nbdkit -U - nbd hostname=localhost port="$(tcp)" export=a tls=require tls-certificates="$dir/tls" \
    --run 'qemu-io -f raw -c "read -P 0x5a 1M 3M" "$uri"' >/dev/null
# the load generator's own TLS, with more under way than a socket takes, both ways at once
for load in --read '--write --destroy-data' '--mixed 50 --destroy-data'; do
    for size in '--block 512' '--block 1MiB --depth 8'; do
        # shellcheck disable=SC2086  # words
        hotbay bench "$(nbds)" $load $size --sessions 2 --time 200ms --json >bench.json || fail "bench $load $size"
        ! grep -q '"requests": *0[,}]' bench.json || fail "$load $size: nothing was done: $(cat bench.json)"
    done
done
nbdcopy --flush data.img "$(nbds)"
qemu-io --object "$(qemu_tls)" --image-opts "$(opts)" -c 'write -P 0x5a 1M 3M' -c 'flush' >/dev/null
# the removal of the medium is nothing that a client in TLS would see
hotbay pull a
qemu-io --object "$(qemu_tls)" --image-opts "$(opts)" -c 'write -P 0x77 2M 1M' -c 'flush' -c 'read -P 0x77 2M 1M' >/dev/null
hotbay insert a
file_holds a.img 0x77 2M 1M

# without TLS: nothing; on the Unix socket either way
exits 1 nbdinfo "nbd://localhost:$(tcp)/a"
exits 1 nbdinfo --list "nbd://localhost:$(tcp)/"
nbdinfo "$(uri a)" >/dev/null
nbdinfo "nbds+unix:///a?socket=$dir/nbd.sock&tls-hostname=localhost&tls-certificates=$dir/tls" | grep -q 'with TLS'

# without the right certificate: nothing
mkdir bare && cp tls/ca-cert.pem bare
exits 1 nbdinfo "$(nbds a bare)"
refused hotbay bench "nbd://localhost:$(tcp)/a" --time 100ms
refused hotbay bench "$(nbds a bare)" --time 100ms
refused hotbay bench "nbds://localhost:$(tcp)/a" --time 100ms
grep -q 'tls-certificates=DIR' complaint || fail "$(cat complaint)"
hotbay tls make stranger >/dev/null
cp tls/ca-cert.pem stranger/ca-cert.pem
exits 1 nbdinfo "$(nbds a stranger)"
# a server that another CA signed is not believed
mkdir elsewhere && cp laptop/client-*.pem elsewhere
hotbay tls make other >/dev/null && cp other/ca-cert.pem elsewhere
exits 1 nbdinfo "$(nbds a elsewhere)"
refused hotbay bench "$(nbds a elsewhere)" --time 100ms
stop_hotbay

# the flag says the same
serve --tls tls --listen tcp:localhost:0 --volume a=a.img
nbdinfo "$(nbds)" >/dev/null
exits 1 nbdinfo "nbd://localhost:$(tcp)/a"
stop_hotbay

# --- renewed: handshakes to come have the new files, a session goes on, and files that will not do change nothing
cp -r tls renewed.old
serve h.toml
nbdsh -c "h.set_uri_allow_local_file(True); h.connect_uri('$(nbds a)')" \
    -c 'h.pwrite(b"1" * 512, 0); print("open", flush=True); input(); h.pwrite(b"2" * 512, 0); h.flush(); assert h.pread(512, 0) == b"2" * 512' \
    < <(until [ -e go ]; do sleep 0.05; done; echo) >session.log &
earlier=$!
until grep -qs open session.log; do sleep 0.05; done
hotbay reload | grep -qx 'nothing has changed'
hotbay tls make renewed --name disks.example >/dev/null
cp renewed/*.pem tls/
hotbay reload >said
grep -q '^tls files as they were read -> .*/server-cert.pem, .*/server-key.pem, .*/ca-cert.pem, for sessions that begin from now on$' said || fail "$(cat said)"
nbdinfo "$(nbds a renewed)" >/dev/null
exits 1 nbdinfo "$(nbds a renewed.old)"
hotbay reload | grep -qx 'nothing has changed'
still_renewed() {
    nbdinfo "$(nbds a renewed)" >/dev/null || fail "what was in force is not any more: $1"
}
cp renewed.old/server-key.pem tls/                      # half of a renewal
refused hotbay reload
grep -q '^refused: tls .*: h.toml:5:.*key: .*the key does not belong to the certificate' output || fail "$(cat output complaint)"
still_renewed "after the key of another certificate"
echo nothing >tls/ca-cert.pem
cp renewed/server-key.pem tls/
kill -HUP "$daemon"
until grep -q 'tls: .*refused: .*client_ca: .*there is no certificate in it' log; do sleep 0.05; done
still_renewed "after a file without a certificate"
rm tls/ca-cert.pem
refused hotbay reload
grep -q '^refused: tls .*No such file' output || fail "$(cat output complaint)"
still_renewed "after a file that is not there"
cp renewed.old/*.pem tls/
kill -HUP "$daemon"
until nbdinfo "$(nbds a renewed.old)" >/dev/null 2>&1; do sleep 0.05; done
exits 1 nbdinfo "$(nbds a renewed)"
touch go
wait "$earlier" || fail "a session that was open did not go on"
stop_hotbay

# offered, and a certificate as the client likes
sed -i 's/mode = .*/mode = "offered"\nclient_certificate = "optional"/' h.toml
serve h.toml
nbdinfo "nbd://localhost:$(tcp)/a" >info
! grep -q TLS info
nbdinfo "$(nbds)" | grep -q 'with TLS'
nbdinfo "$(nbds a bare)" | grep -q 'with TLS'
exits 1 nbdinfo "$(nbds a stranger)"
stop_hotbay

# files that will not do are told with the line that names them
wrong() {
    sed "s|^$1 = .*|$1 = \"$2\"|" h.toml >wrong.toml
    refused hotbay check-config wrong.toml
    grep -q "^error: wrong.toml:$3:" complaint || fail "no line in: $(cat complaint)"
    grep -q -- "$4" complaint || fail "no '$4' in: $(cat complaint)"
    grep -q '^hint: ' complaint || fail "no hint in: $(cat complaint)"
    refused hotbay serve wrong.toml --control wrong.sock --state wrong
}
hotbay check-config h.toml | grep -q '^tls  *offered, with '
wrong certificate tls/none.pem 5 'certificate: .*tls/none.pem: No such file'
wrong certificate tls/server-key.pem 5 'there is no certificate in it'
wrong certificate a.img 5 'it is longer than 1 MiB'
wrong key tls/client-key.pem 6 'the key does not belong to the certificate'
wrong key tls/server-cert.pem 6 'there is no private key that is not encrypted in it'
wrong client_ca tls/ca-key.pem 7 'there is no certificate in it'
printf -- '-----BEGIN CERTIFICATE-----\nAAAA\n' >half.pem
wrong client_ca half.pem 7 'it is not PEM: a section has no end'
