# The disk of the state directory fails while a medium is away. What had been flushed by then is in the journal and comes back; the
# flush that fails is an error for whoever asked, and stays one until the daemon is started anew, also when the disk takes writes
# again; the other volume of the drive, whose medium is in, does not notice.
driver nbd nbds_max=4 max_part=8
flaky_disk 96
mkfs.ext4 -q /dev/dm-0
mkdir /run/fails
mount /dev/dm-0 /run/fails
export HOTBAY_STATE=/run/fails/state
truncate -s 48M stick.img other.img
start_hotbay --volume stick=stick.img --volume other=other.img
attach stick /dev/nbd0 ext4
attach other /dev/nbd1 ext2
put stick flushed 1000000
put other flushed 1000000
sync -f /run/mnt/stick
read_metadata stick /dev/nbd0

hotbay pull stick
put stick flushed-to-the-journal 2000000
sync -f /run/mnt/stick

behave error_writes
cp -r /run/originals/stick /run/as-flushed
put stick too-late 2000000
if sync -f /run/mnt/stick; then echo "a flush succeeded on a journal whose disk fails"; false; fi
hotbay status | tee status
grep 'stick.*failed' status
put other unharmed 1000000
sync -f /run/mnt/other

behave well
if dd if=/dev/urandom of=/dev/nbd0 bs=4k seek=11000 count=1 oflag=direct status=none; then
    echo "a failed journal was written again"
    false
fi
umount /run/mnt/stick || umount -l /run/mnt/stick
nbd-client -d /dev/nbd0
detach other /dev/nbd1
if stop_hotbay; then echo "it ended as if all were well"; false; fi
grep 'error: the journal of volume stick could not be synced' /run/log
umount /run/fails
e2fsck -fy /dev/dm-0 >/dev/null || [ $? = 1 ]
mount /dev/dm-0 /run/fails

start_hotbay --volume stick=stick.img --volume other=other.img
hotbay wait stick present --timeout 30s || hotbay insert stick
nbd-client -unix /run/nbd.sock /dev/nbd2 -N stick
mount /dev/nbd2 /run/mnt/stick
rm -r /run/originals/stick
mv /run/as-flushed /run/originals/stick
rm -f /run/mnt/stick/too-late               # it may be there in part: nobody was told that it is
detach stick /dev/nbd2
stop_hotbay
save stick stick.img
save other other.img
