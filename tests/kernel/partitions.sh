# Two partitions of one disk, each with its own file system on its own medium: one medium is pulled and returns while
# both are written, then the other, then both.
driver nbd nbds_max=4 max_part=8
truncate -s 48M a.img b.img
start_hotbay --layout partitions --volume a=a.img --volume b=b.img

hotbay attach hotbay /dev/nbd0
poll "the partitions" test -b /dev/nbd0p2
in_the_log 'nbd0: p1 p2'
make_and_mount a /dev/nbd0p1 ext2
make_and_mount b /dev/nbd0p2 ext2
read_metadata a /dev/nbd0p1
read_metadata b /dev/nbd0p2

for away in a b "a b"; do
    keep_writing a
    for number in 1 2 3; do put b "before-$number" 200000; done
    writes 12
    for volume in $away; do hotbay pull "$volume"; done
    for number in 1 2 3; do put b "without-$number" 300000; done
    writes 12
    sync -f /run/mnt/b
    for volume in $away; do hotbay insert "$volume"; done
    writes 12
    stop_writing
    sync
done
no_error_in_the_log

compare a
compare b
umount /run/mnt/a /run/mnt/b
hotbay detach /dev/nbd0
stop_hotbay
save a a.img
save b b.img
