#![no_main]

#[path = "../checks/nbd_replies.rs"]
mod nbd_replies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| nbd_replies::check(data));
