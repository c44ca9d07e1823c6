#!/usr/bin/env bash
# `hotbay top` in a real terminal: what it shows, and that its keys do what they say after a yes.
source "$(dirname "$0")/lib.sh"
export LC_ALL=C.UTF-8
tmux() { command tmux -S "$dir/tmux.sock" "$@"; }

# screen TEXT: returns once the terminal shows it.   press KEY…
screen() {
    local tries
    for tries in $(seq 200); do
        tmux capture-pane -p -t top >shown
        if grep -q -- "$1" shown; then return; fi
        sleep 0.1
    done
    cat shown >&2
    fail "the screen does not show: $1"
}
press() { tmux send-keys -t top "$@"; }

blank a.img 64M
blank b.img 16M
blank c.img 16M
printf '[defaults]\njournal_limit = "16MiB"\nretained_limit = "4MiB"\n' >small.toml
start_hotbay small.toml --bays 2 --volume a=a.img --volume b=b.img
tmux -f /dev/null new-session -d -s top -x 140 -y 40 "hotbay top; echo ended with \$?; sleep 60"
at_the_end() { command tmux -S "$dir/tmux.sock" kill-server 2>/dev/null; }

screen ' bay 1 '
screen '▶ a .*present'
press e
screen 'hotbay eject a   y: do it'
press n
screen 'nothing was done'
[ "$(state a)" = present ] || fail "a no is taken for a yes"
press e y
screen '▶ a .*absent'
screen 'ejected'
[ "$(state a)" = absent ]
press i y
screen '▶ a .*present'
becomes a present

press Down
screen '▶ b .*present'
press s
press -l "$dir/c.img"
press Enter
screen "hotbay swap b $dir/c.img   y: do it"
press y
screen 'switched'
field b medium | grep -q c.img

hotbay pull a
fill a 0x11 0 40M &
writer=$!
screen ' a  .*journal full, [1-9][0-9]* wait'
hotbay insert a
wait "$writer"
kill_hotbay
screen 'no hotbay daemon answers'
start_hotbay small.toml --bays 2 --volume a=a.img --volume b=b.img
screen 'shelf\|layout volumes'
press q
screen 'ended with 0'

exits 1 hotbay top </dev/null
grep -q 'no terminal' complaint
