//! What the fuzz targets have found, or began with, once more.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/checks/media_spec.rs"]
mod media_spec;

#[test]
fn media_spec_is_as_before() {
    replay::replay("media_spec", media_spec::check);
}
