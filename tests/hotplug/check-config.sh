#!/usr/bin/env bash
# `hotbay check-config` says what is wrong with a file, and where, before anything runs on it.
source "$(dirname "$0")/lib.sh"

cat >good.toml <<'EOF'
bays = 1
listen = ["unix:nbd.sock", "tcp:127.0.0.1:0"]

[[volume]]
name = "a"
medium = "file:a.img?create=64MiB"
journal_limit = "128MiB"
absent_reads = "wait"
absent_wait = "30s"

[[volume]]
name = "b"
medium = "mem:16MiB"
EOF
exits 0 hotbay check-config good.toml
[ ! -e a.img ] || fail "checking a file made a medium"

bad() {
    sed "$1" good.toml >bad.toml
    ! cmp -s good.toml bad.toml || fail "$1 changes nothing"
    refused hotbay check-config bad.toml
    grep -q -- "$2" complaint || fail "'$1' is not explained: $(cat complaint)"
}
bad 's/^bays = 1/bays = "one"/' bays
bad 's/^bays/bayz/' bayz
bad 's/64MiB"$/64 bananas"/' bananas
bad 's/"30s"/"30 moons"/' moons
bad 's/"wait"/"hope"/' hope
bad 's/name = "b"/name = "a"/' a
bad 's/unix:nbd.sock/carrier-pigeon:coop/' carrier-pigeon
refused hotbay check-config missing.toml
