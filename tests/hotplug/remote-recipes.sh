#!/usr/bin/env bash
# The recipes of docs/remote-media.md: a qcow2 under hotbay by qemu-nbd, a logical volume's stand-in by nbdkit over TCP.
# Each is killed under the volume, and started again.
source "$(dirname "$0")/lib.sh"

qemu-img create -q -f qcow2 disk.qcow2 16M
blank b.img 16M
qemu_serve disk.qcow2 qcow2
qemu=$server
port=$((20000 + RANDOM % 20000))
serve_port() {
    nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" file b.img &
    nbdkit=$!
    for tries in $(seq 400); do
        nbdinfo --size "nbd://127.0.0.1:$port" >/dev/null 2>&1 && return
        kill -0 "$nbdkit" || fail "nbdkit does not start at port $port"
        sleep 0.05
    done
    fail "no server answers at port $port"
}
serve_port
start_hotbay --volume "q=$(remote disk.qcow2)" --volume "b=nbd://127.0.0.1:$port/"
for volume in q b; do
    fill "$volume" 0x11 0 16M
done
kill -KILL "$qemu" "$nbdkit"
becomes q absent
becomes b absent
for volume in q b; do
    fill "$volume" 0x22 4M 1M
    holds "$volume" 0x22 4M 1M
done
qemu_serve disk.qcow2 qcow2
serve_port
for volume in q b; do
    becomes "$volume" present
    holds "$volume" 0x11 0 4M
    holds "$volume" 0x22 4M 1M
done
stop_hotbay
kill -TERM "$server" "$nbdkit"
wait "$server" "$nbdkit" || true
qemu-img convert -O raw disk.qcow2 q.img
for file in q.img b.img; do
    file_holds "$file" 0x11 0 4M
    file_holds "$file" 0x22 4M 1M
    file_holds "$file" 0x11 5M 11M
done
