#!/usr/bin/env bash
# Each layout over media that other servers export, of which one forgets what was not flushed. The servers are killed in mid-write and
# started again, one, the other, then both: what was written meanwhile is on the media in the end, each byte in its place.
source "$(dirname "$0")/lib.sh"

size_a=$((16 << 20)) size_b=$((12 << 20))
declare -A server_of
serve() {
    case $1 in
        a) serve_file a.img --filter=cache cache=writeback ;;
        b) qemu_serve b.img raw ;;
    esac
    server_of[$1]=$server
}
kill_server_of() { server=${server_of[$1]}; kill_server; }

# lies VOLUME OFFSET LENGTH: so much of its medium is what lies there on the disk.
lies() { cmp -n "$3" -i "0:$2" "$1.img" expected.img || fail "$layout: the medium of $1 holds something else than was written"; }

for layout in partitions linear mirror; do
    rm -rf state
    blank a.img $size_a
    blank b.img $size_b
    serve a
    serve b
    start_hotbay --layout $layout --volume "a=$(remote a.img)" --volume "b=$(remote b.img)"
    becomes a present
    becomes b present
    case $layout in
        partitions) keep_writing "" --within "$((1 << 20))+$size_a" --within "$((17 << 20))+$size_b" ;;
        linear) keep_writing "" ;;
        mirror)
            in_sync a
            in_sync b
            keep_writing "" --readers 1 ;;
    esac
    for gone in a b "a b"; do
        if [ "$layout $gone" = "mirror a b" ]; then              # whoever reads would have to wait now
            stop_writing
            keep_writing ""
        fi
        writes 100
        for volume in $gone; do kill_server_of $volume; done
        for volume in $gone; do becomes $volume absent; done
        writes 100
        for volume in $gone; do serve $volume; done
        for volume in a b; do
            becomes $volume present
            [ $layout != mirror ] || in_sync $volume
        done
    done
    writes 100
    stop_writing
    if [ $layout = mirror ]; then hotbay scrub a | grep -q 'compared, no difference'; fi
    stop_hotbay
    kill -TERM "${server_of[a]}" "${server_of[b]}"              # in peace: what was flushed is in the files
    wait "${server_of[a]}" "${server_of[b]}" || true
    case $layout in
        partitions)
            lies a $((1 << 20)) $size_a
            lies b $((17 << 20)) $size_b ;;
        linear)
            lies a 0 $size_a
            lies b $size_a $size_b ;;
        mirror)
            lies a 0 $size_b
            lies b 0 $size_b ;;
    esac
done
