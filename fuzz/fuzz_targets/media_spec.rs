#![no_main]

#[path = "../checks/media_spec.rs"]
mod media_spec;

libfuzzer_sys::fuzz_target!(|data: &[u8]| media_spec::check(data));
