# A volume grows under a mounted ext4 that is being written: the attached device has the new size at once, and the file
# system takes it, in the same session; also where the daemon was killed as soon as it had grown.
driver nbd nbds_max=4 max_part=8
truncate -s 64M usb.img
serve() { start_hotbay --volume usb=usb.img; }
serve
device=$(hotbay attach usb)
make_and_mount usb "$device" ext4
hotbay status | grep -qF "attached $device is usb"
hotbay status --json | grep -qF "\"devices\":[\"$device\"]"
keep_writing usb
writes 6
said=$(hotbay volume grow usb 128MiB)
[ "$said" = "volume usb has 128MiB
$device has 128MiB now" ]
[ "$(blockdev --getsize64 "$device")" = $((128 << 20)) ]
resize2fs "$device"
room() { df --block-size=1M --output=size /run/mnt/usb | tail -n 1; }
[ "$(room)" -gt 100 ]
for number in {1..8}; do put usb "large/$number" 10000000; done     # more than the earlier end has room for
writes 6
[ "$(hotbay status --json | grep -o '"sessions":1' | head -n 1)" = '"sessions":1' ]
no_error_in_the_log

kill_hotbay                                 # the next daemon has the size, and so has the device
serve
writes 6
[ "$(hotbay attach usb --resize)" = "$device has 128MiB already" ]

hotbay pull usb                             # the journal takes what lies behind the first end as well
put usb large/9 3000000
hotbay insert usb
stop_writing
no_error_in_the_log
compare usb
umount /run/mnt/usb
hotbay detach "$device"
! hotbay status | grep -F attached
stop_hotbay
save usb usb.img

# A daemon of an ordinary user: who asks it to grow may not touch the device, and says who may.
mkdir -m 700 /run/own && chown nobody /run/own
own=(env HOTBAY_CONTROL=/run/own/control.sock HOTBAY_STATE=/run/own/state)
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "${own[@]}" "$@"; }
as_nobody hotbay serve --volume 'own=/run/own/own.img?create=16MiB' --listen unix:/run/own/nbd.sock >>/run/log 2>&1 &
poll "the daemon's first answer" "${own[@]}" hotbay status
device=$("${own[@]}" hotbay attach own)
refused "$device keeps the earlier size" as_nobody hotbay volume grow own 32MiB
[ "$(blockdev --getsize64 "$device")" = $((16 << 20)) ]
refused "is not attached to own" hotbay attach own /dev/nbd3 --resize
refused "no device is attached to other" hotbay attach other --resize
[ "$(hotbay attach own --resize)" = "$device has 32MiB now" ]
[ "$(blockdev --getsize64 "$device")" = $((32 << 20)) ]
hotbay detach "$device"
