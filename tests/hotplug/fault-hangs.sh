#!/usr/bin/env bash
# A medium that hangs with a write, a read, a sync or a look is lost after io_deadline, under load, with a real file below;
# what hangs keeps it out until it has ended.
source "$(dirname "$0")/lib.sh"

cat >hotbay.toml <<END
[[volume]]
name = "a"
medium = "$dir/a.img"
io_deadline = "1s"
END
blank a.img 16M
start_hotbay hotbay.toml
keep_writing a
for hang in 'hang on write' 'hang on read' 'hang on sync' 'hang on look' 'hang on any always'; do
    writes 100
    hotbay fault a "$hang"
    before=$(date +%s%N)
    # The load neither reads nor flushes.
    case $hang in
        *read) timeout "$patience" qemu-io -f raw -c 'read 0 4k' "$(uri a)" >read.log 2>&1 & reader=$! ;;
        *sync) io a flush ;;
    esac
    becomes a absent
    took=$((($(date +%s%N) - before) / 1000000))
    [ "$took" -lt 8000 ] || fail "$hang: $took ms until it was lost"
    event "has not been answered for 1s"
    writes 100
    is "the state while it hangs" "$(state a)" absent
    hotbay fault a --clear
    becomes a present
    [ "$hang" != 'hang on read' ] || wait "$reader" || fail "the read failed: $(cat read.log)"
done
stop_writing
stop_hotbay
cmp a.img expected.img
