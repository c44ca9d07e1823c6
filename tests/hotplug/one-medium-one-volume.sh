#!/usr/bin/env bash
# Two volumes never write to one medium, whatever name it is given.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 16M
ln -s a.img soft.img
ln a.img hard.img
start_hotbay --bays 2 --volume a=a.img --volume b=b.img
becomes a present
hotbay eject b
for name in a.img soft.img hard.img ./../"${dir##*/}"/a.img; do
    refused hotbay insert b "$name"
    is "b" "$(state b)" absent
done
refused hotbay swap a a.img
is "a" "$(state a)" present
fill a 0x11 0 1M
hotbay insert b b.img
