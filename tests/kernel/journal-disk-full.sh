# The disk of the state directory has no room left: writes wait, nothing fails, and nothing that was acknowledged is lost; whatever
# makes room lets them go on, be it a file that is removed or the medium that returns.
driver nbd nbds_max=4 max_part=8
mkdir /run/small
mount -t tmpfs -o size=40m none /run/small
export HOTBAY_STATE=/run/small/state
truncate -s 64M stick.img
start_hotbay --volume stick=stick.img
device=$(hotbay attach stick)
make_and_mount stick "$device" ext4
put stick before 1000000
sync -f /run/mnt/stick
read_metadata stick "$device"
head -c 15M /dev/zero >/run/small/somebody-elses

finds_no_room() { hotbay events | grep -F 'No space left on device'; }
told_who_waits() { hotbay status | grep 'the disk under the journal of stick is full: .*; make room there'; }
hotbay pull stick
(put stick large 12000000; sync -f /run/mnt/stick; put stick larger 30000000; sync -f /run/mnt/stick) & writer=$!
poll "the disk to be full" finds_no_room
hotbay status | grep -q ' absent '
poll "what waits to be told" told_who_waits
rm /run/small/somebody-elses                # a segment fits again
poll "the first file" test -s /run/mnt/stick/larger
kill -0 "$writer"                           # the second one is too much
poll "what waits to be told again" told_who_waits
hotbay insert stick
wait "$writer"
no_error_in_the_log
compare stick
umount /run/mnt/stick
hotbay detach "$device"
stop_hotbay
save stick stick.img
