#![no_main]

#[path = "../checks/nbd_uri.rs"]
mod nbd_uri;

libfuzzer_sys::fuzz_target!(|data: &[u8]| nbd_uri::check(data));
