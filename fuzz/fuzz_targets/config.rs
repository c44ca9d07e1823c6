//! The check is about modules of a program, which cannot be depended on: they are compiled here as they are.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the program uses all of these modules, this target one")]

#[path = "../checks/config.rs"]
mod check;
#[path = "../../crates/hotbay/src/config/mod.rs"]
mod config;
#[path = "../../crates/hotbay/src/control/mod.rs"]
mod control;
#[path = "../../crates/hotbay/src/directory.rs"]
mod directory;
#[path = "../../crates/hotbay/src/failure.rs"]
mod failure;
#[path = "../../crates/hotbay/src/nearest.rs"]
mod nearest;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
