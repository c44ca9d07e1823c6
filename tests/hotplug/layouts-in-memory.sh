#!/usr/bin/env bash
# Each layout over media in memory, which are pulled and put back under load. A mirror of memory and a file: after a restart the
# memory is empty, and gets everything again.
source "$(dirname "$0")/lib.sh"

for layout in partitions linear mirror; do
    rm -rf state
    start_hotbay --layout $layout --volume a=mem:16MiB --volume b=mem:12MiB
    case $layout in
        partitions) keep_writing "" --within "$((1 << 20))+$((16 << 20))" --within "$((17 << 20))+$((12 << 20))" ;;
        linear) keep_writing "" ;;
        mirror)
            in_sync a
            in_sync b
            keep_writing "" ;;
    esac
    for gone in a b "a b"; do
        writes 100
        for volume in $gone; do hotbay pull $volume; done
        writes 100
        for volume in $gone; do hotbay insert $volume; done
        if [ $layout = mirror ]; then
            in_sync a
            in_sync b
        fi
    done
    writes 100
    stop_writing
    stop_hotbay
done

rm -rf state
blank file.img 12M
serve() { start_hotbay --layout mirror --volume file=file.img --volume memory=mem:12MiB; }
serve
in_sync memory
fill "" 0x71 1M 2M
stop_hotbay
serve
in_sync memory
hotbay scrub file | grep -q 'compared, no difference'
hotbay eject file
behind file
holds "" 0x71 1M 2M                      # the memory has it
fill "" 0x72 2M 2M
hotbay insert file
in_sync file
stop_hotbay
file_holds file.img 0x71 1M 1M
file_holds file.img 0x72 2M 2M
