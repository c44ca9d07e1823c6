# What attach and detach must not do: hand a mounted file system another disk, let go of one that is
# in use, hang for ever.
refused "no hotbay daemon answers" hotbay attach usb || refused "modprobe nbd" hotbay attach usb
driver nbd nbds_max=4 max_part=8
refused "no hotbay daemon answers" hotbay attach usb
truncate -s 32M usb.img other.img third.img
serve() { start_hotbay --volume usb=usb.img; }
serve
refused "did you mean usb?" hotbay attach usv
refused "write /dev/nbd0" hotbay attach usb /dev/sda
refused "is not attached" hotbay detach /dev/nbd0
refused "there is no /dev/nbd9" hotbay detach /dev/nbd9

[ "$(hotbay attach usb /dev/nbd2 --wait-for-daemon 1m)" = /dev/nbd2 ]
refused "usb is attached to it" hotbay attach usb /dev/nbd2
make_and_mount usb /dev/nbd2 ext2
refused "it is mounted at /run/mnt/usb" hotbay detach /dev/nbd2
put usb before 300000
sync -f /run/mnt/usb

# Another daemon, with a volume of the same name, behind the same socket.
kill_hotbay
HOTBAY_STATE=/run/other-state start_hotbay --volume usb=other.img
poll "the refusal" in_the_log "another volume of that name"
put usb meanwhile 300000 & writer=$!       # it may wait, and must not fail
kill_hotbay
cmp -n 33554432 other.img /dev/zero
serve
wait "$writer"
sync -f /run/mnt/usb
put usb after 300000
no_error_in_the_log
compare usb
umount /run/mnt/usb
hotbay detach /dev/nbd2

# nbd-client lets it go as well, and the resident ends with it.
hotbay attach usb /dev/nbd2
nbd-client -d /dev/nbd2
flock -w 10 /run/hotbay-attach/nbd2 true
[ -z "$(hotbay attach --list)" ]

# A daemon that stays away: an error, no hang, and a device that is free.
hotbay attach usb /dev/nbd1 --wait-for-daemon 3s
kill_hotbay
refused "Input/output error" dd if=/dev/zero of=/dev/nbd1 bs=4k seek=8000 count=1 oflag=direct
flock -w 10 /run/hotbay-attach/nbd1 true
[ -z "$(hotbay attach --list)" ]
serve
[ "$(hotbay attach usb /dev/nbd1 --wait-for-daemon 3s)" = /dev/nbd1 ]

# One that is mounted meanwhile is not connected again once its requests have failed.
mount -t ext2 -o ro /dev/nbd1 /run/mnt/usb
kill_hotbay
flock -w 20 /run/hotbay-attach/nbd1 true
serve
refused "somebody still has it open" hotbay attach usb /dev/nbd1
umount /run/mnt/usb
poll "the device to be free" test ! -e /sys/block/nbd1/pid
[ "$(hotbay attach usb /dev/nbd1 --wait-for-daemon 3s)" = /dev/nbd1 ]

# Another content in the volume's place.
hotbay swap usb third.img --as-is
refused "Input/output error" dd if=/dev/zero of=/dev/nbd1 bs=4k seek=8000 count=1 oflag=direct
in_the_log "another content was put in its place"
stop_hotbay
save usb usb.img
