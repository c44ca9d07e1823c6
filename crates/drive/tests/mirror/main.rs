//! A mirror: both copies have everything, or it is known which one does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod away;
mod kills;
mod marks;
mod newest;
mod reads;
mod start;
mod zeroes;
