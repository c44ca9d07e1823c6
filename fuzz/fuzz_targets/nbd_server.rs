#![no_main]

#[path = "../checks/nbd_server.rs"]
mod nbd_server;

libfuzzer_sys::fuzz_target!(|data: &[u8]| nbd_server::check(data));
