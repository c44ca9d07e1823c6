//! What the fuzz targets have found, or began with, once more.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/checks/journal_scan.rs"]
mod journal_scan;

#[test]
fn journal_scan_is_as_before() {
    replay::replay("journal_scan", journal_scan::check);
}
