//! What the fuzz targets have found, or began with, once more.

#[path = "../../../fuzz/checks/config.rs"]
mod config;
#[path = "../../../fuzz/checks/control.rs"]
mod control;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn config_is_as_before() {
    replay::replay("config", config::check);
}

#[test]
fn control_is_as_before() {
    replay::replay("control", control::check);
}
