# The kernel over four connections at once, its medium torn out twice in the middle: each flush covers what was written on all of them,
# and none of them gets an error.
driver nbd nbds_max=4 max_part=8
truncate -s 48M disk.img
start_hotbay --volume disk=disk.img
nbd-client -unix /run/nbd.sock /dev/nbd0 -N disk -C 4 -timeout 120
hotbay status --json | grep -q '"sessions":4'
make_and_mount disk /dev/nbd0 ext4
read_metadata disk /dev/nbd0

keep_writing disk
for round in 1 2; do
    writes 12
    hotbay pull disk
    writes 12
    hotbay insert disk
done
writes 12
stop_writing

no_error_in_the_log
detach disk /dev/nbd0
stop_hotbay
save disk disk.img
