# The kernel reads the table of a disk of partitions: each one is where it is and as long as its volume, whatever the volumes' sizes, and there
# are as many as a drive has volumes.
driver nbd nbds_max=2 max_part=200

# sizes DEVICE COUNT: those of its partitions, in sectors.
sizes() {
    local number
    for number in $(seq "$2"); do cat "/sys/block/$1/$1p$number/size"; done | xargs
}

# read_by_the_kernel DEVICE COUNT SIZES
read_by_the_kernel() {
    poll "the last partition" test -b "/dev/${1}p$2"
    [ "$(sizes "$1" "$2")" = "$3" ] || { echo "$1 has partitions of $(sizes "$1" "$2"), not $3"; false; }
    [ ! -e "/sys/block/$1/${1}p$(($2 + 1))" ]
    ! dmesg | grep -E 'GPT:|Alternate GPT|partition table'
}

options=() expected=''
for size in 512 513 1048577 5000000 50331648 1099511627776; do
    truncate -s $size odd-$size.img
    options+=(--volume "v$size=odd-$size.img")
    expected+=" $((size / 512))"
done
start_hotbay --layout partitions "${options[@]}"
hotbay attach hotbay /dev/nbd0
read_by_the_kernel nbd0 6 "${expected# }"
make_and_mount odd /dev/nbd0p5 ext2
put odd letter 3000000
compare odd
umount /run/mnt/odd
hotbay detach /dev/nbd0
stop_hotbay
save odd odd-50331648.img

{
    printf 'layout = "partitions"\n[defaults]\njournal_limit = "16MiB"\n'
    for number in $(seq 128); do printf '[[volume]]\nname = "v%s"\nmedium = "mem:64KiB"\n' "$number"; done
} >many.toml
start_hotbay many.toml --state /run/many
hotbay attach hotbay /dev/nbd1
read_by_the_kernel nbd1 128 "$(for number in $(seq 128); do echo 128; done | xargs)"
hotbay detach /dev/nbd1
stop_hotbay
