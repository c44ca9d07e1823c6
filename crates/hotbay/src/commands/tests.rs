use std::path::Path;

use super::output::Colours;
use super::room::{what_to_do, what_waits};
use super::status::describe;
use crate::control::{
    JournalStatus, State, Status, VolumeStatus, WaitingForRoom, WhatIsFull, WorkDone,
};

fn volume(name: &str, state: State) -> VolumeStatus {
    VolumeStatus {
        name: name.into(),
        export: name.into(),
        state,
        medium: Some(format!("file:/srv/{name}.img")),
        bay: None,
        attachment: None,
        size_bytes: 64 << 20,
        sessions: 1,
        waiting_for_medium: false,
        waiting_for_room: None,
        waiting_requests: 0,
        retained_bytes: 0,
        oldest_retained_ms: None,
        last_loss: None,
        conflict: None,
        hung: None,
        faults: Vec::new(),
        copy: None,
        journal: JournalStatus { live_bytes: 0, disk_bytes: 0, limit_bytes: 1 << 30, extents: 0 },
        progress: None,
    }
}

fn shelf(bays: u32, listen: &str, volumes: Vec<VolumeStatus>) -> Status {
    let (drive, layout) = ("shelf".into(), "volumes".into());
    Status {
        drive,
        bays,
        layout,
        listen: vec![listen.into()],
        metrics: None,
        exports: Vec::new(),
        volumes,
    }
}

fn shown(status: &Status, colours: Colours) -> String {
    describe(status, Path::new("/run/c.sock"), colours)
}

#[test]
fn a_person_sees_what_is_and_what_to_do() {
    let mut work = volume("work", State::Present);
    (work.bay, work.attachment, work.retained_bytes) = (Some(1), Some(3), 12 << 10);
    let mut backup = volume("backup", State::Absent);
    (backup.waiting_for_medium, backup.waiting_requests) = (true, 3);
    backup.journal.live_bytes = 3 << 19;
    backup.last_loss = Some("write 0+512: the medium is gone".into());
    let status = shelf(1, "unix:/run/n.sock", vec![work, backup]);
    let expected = "\
drive shelf: 1 bay, layout volumes
  control  /run/c.sock
  listen   unix:/run/n.sock
  connect  nbd-client -unix /run/n.sock /dev/nbd0 -N work

VOLUME  STATE    BAY  SIZE    SESSIONS  WAITING  RETAINED  JOURNAL           MEDIUM
work    present  1    64 MiB  1         0        12 KiB    0 B of 1 GiB      /srv/work.img
backup  absent   -    64 MiB  1         3        0 B       1.5 MiB of 1 GiB  /srv/backup.img

please insert volume backup: 3 requests wait; 'hotbay insert backup'
last loss of backup: write 0+512: the medium is gone
";
    assert_eq!(shown(&status, Colours::Off), expected);
}

#[test]
fn work_under_way_and_failures_are_noted() {
    let mut data = volume("data", State::Copying);
    data.progress = Some(WorkDone { done_bytes: 1 << 20, total_bytes: 4 << 20 });
    let mut broken = volume("broken", State::Failed);
    broken.last_loss = Some("the journal's sync failed".into());
    broken.journal.limit_bytes = 0;
    let status = shelf(2, "tcp:[::1]:10809", vec![data, broken]);
    let text = shown(&status, Colours::Off);
    assert!(text.contains("  connect  nbd-client ::1 10809 /dev/nbd0 -N data\n"), "{text}");
    assert!(text.contains("0 B       -             /srv/broken.img\n"), "{text}");
    assert!(text.contains("\ncopying data: 25% (1 MiB of 4 MiB)\n"), "{text}");
    assert!(text.ends_with("\nvolume broken has failed: the journal's sync failed\n"), "{text}");
}

#[test]
fn without_a_terminal_there_is_no_escape() {
    let status = shelf(1, "unix:/n", vec![volume("a", State::Failed)]);
    assert!(!shown(&status, Colours::Off).contains('\x1b'));
    assert!(shown(&status, Colours::On).contains("\x1b[31mfailed\x1b[0m"));
}

fn says(full: WhatIsFull, requests: u64, only_in_memory_bytes: u64) -> (String, String) {
    let mut volume = volume("usb", State::Absent);
    let age_ms = 61_900;
    let waiting = WaitingForRoom { full, requests, age_ms, only_in_memory_bytes };
    volume.waiting_for_room = Some(waiting.clone());
    (what_waits(&volume).unwrap(), what_to_do(&volume, &waiting))
}

#[test]
fn a_full_journal_is_emptied_by_the_medium() {
    let (what, advice) = says(WhatIsFull::Journal, 3, 0);
    assert_eq!(what, "the journal of usb is full: 3 requests wait, for 1m 1s");
    assert_eq!(advice, "'hotbay insert usb' empties it");
}

#[test]
fn a_full_disk_is_to_be_cleared() {
    let (what, advice) = says(WhatIsFull::Disk, 1, 0);
    assert_eq!(what, "the disk under the journal of usb is full: 1 request waits, for 1m 1s");
    assert!(advice.starts_with("make room there, or 'hotbay insert usb'"), "{advice}");
}

#[test]
fn what_is_only_in_memory_comes_first() {
    let (what, advice) = says(WhatIsFull::Disk, 2, 3 << 20);
    let said = "3 MiB that were acknowledged are only in memory, and requests wait: 2, for 1m 1s";
    assert!(what.ends_with(said), "{what}");
    assert!(advice.starts_with("make room there now"), "{advice}");
}
