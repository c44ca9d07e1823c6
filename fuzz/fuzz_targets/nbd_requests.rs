#![no_main]

#[path = "../checks/nbd_requests.rs"]
mod nbd_requests;

libfuzzer_sys::fuzz_target!(|data: &[u8]| nbd_requests::check(data));
