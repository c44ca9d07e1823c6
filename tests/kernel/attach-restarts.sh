# The daemon is killed under a mounted file system while it is being written, again and again: it
# finds its device each time, and nobody above sees an error. RESTARTS=50 makes it longer.
driver nbd nbds_max=4 max_part=8
truncate -s 64M usb.img
let_go() {                                  # what was written is right, and the device goes in good order
    writes 6
    stop_writing
    no_error_in_the_log
    compare usb
    umount /run/mnt/usb
    hotbay detach "$device"
}
serve() { start_hotbay --volume usb=usb.img --listen tcp:127.0.0.1:10809; }
serve
device=$(hotbay attach usb)
make_and_mount usb "$device" ext4
[ "$(hotbay attach --list | awk 'NR == 2 { print $1, $2, $3 }')" = "$device usb unix:/run/nbd.sock" ]

keep_writing usb
for round in $(seq "$RESTARTS"); do
    writes $((RANDOM % 6 + 1))
    [ $((round % 4)) != 0 ] || sleep 0.$((RANDOM % 10))     # another moment of the load
    kill_hotbay
    serve
done
writes 6

resident=/run/hotbay-attach/${device#/dev/}
kill -9 "$(cat "$resident")"                # a device that has lost its resident gets another
flock "$resident" true
writes 6
hotbay attach usb "$device"
kill_hotbay
serve
writes 6
stop_hotbay                                 # an orderly stop is no removal either
serve
let_go

device=$(hotbay attach usb --server tcp:127.0.0.1:10809)
mount "$device" /run/mnt/usb
keep_writing usb
writes 6
kill_hotbay
serve
let_go
[ -z "$(hotbay attach --list)" ]
dmesg | grep -c 'connected again'
stop_hotbay
save usb usb.img
