#![no_main]

#[path = "../checks/journal_scan.rs"]
mod journal_scan;

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal_scan::check(data));
