//! The suite that each device passes: one rule of the contract of [`Device`] after another.
//!
//! A device is compared with a `Vec<u8>`, the *model*, that takes the same changes. Each rule ends with a
//! comparison of everything, so that a byte that was changed beside the right place is found too. What a
//! rule does is the same on every run: its numbers come from a seed that is in the code.
//!
//! [`Checked`](crate::Checked) answers for ranges and write protection, so a device that has nothing above
//! it is given wrapped in one. The caller brings the runtime that the device needs.

mod concurrent;
mod model;
mod rules;

pub use model::Broken;

use crate::{BoxFuture, Device};

/// One rule of the contract, and how to find out whether a device keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it demands, in one sentence.
    pub name: &'static str,
    test: fn(&dyn Device) -> BoxFuture<'_, Result<(), Broken>>,
}

impl Rule {
    /// Tries the rule on `device`, the content of which is lost.
    ///
    /// # Errors
    /// Says in what way the device breaks it.
    pub async fn test(&self, device: &dyn Device) -> Result<(), Broken> {
        (self.test)(device).await
    }
}

/// The smallest device that can be tested, in bytes.
pub const SIZE_BYTES_MIN: u64 = 4 << 20;

/// The largest device that can be tested, in bytes: the model is as large.
pub const SIZE_BYTES_MAX: u64 = 256 << 20;

/// All rules, the simple ones first. The last three are for requests that are under way together.
pub const RULES: &[Rule] = &[
    Rule { name: "what it is stays the same", test: |d| Box::pin(rules::info(d)) },
    Rule { name: "a read gives what was written", test: |d| Box::pin(rules::writes(d)) },
    Rule { name: "a read needs no buffer and any will do", test: |d| Box::pin(rules::buffers(d)) },
    Rule { name: "zeroes read as zeroes", test: |d| Box::pin(rules::zeroes(d)) },
    Rule {
        name: "zeroes that must be quick are made, or refused whole",
        test: |d| Box::pin(rules::quick_zeroes(d)),
    },
    Rule { name: "what was trimmed can be read and written", test: |d| Box::pin(rules::trims(d)) },
    Rule { name: "a stable change is a change", test: |d| Box::pin(rules::stable_changes(d)) },
    Rule { name: "a flush changes nothing", test: |d| Box::pin(rules::flushes(d)) },
    Rule { name: "a hint succeeds and changes nothing", test: |d| Box::pin(rules::hints(d)) },
    Rule { name: "what is known of bytes is true", test: |d| Box::pin(rules::status(d)) },
    Rule { name: "a range past the end is refused", test: |d| Box::pin(rules::ranges(d)) },
    Rule {
        name: "any sequence leaves what the model has",
        test: |d| Box::pin(rules::sequences(d)),
    },
    Rule {
        name: "disjoint changes under way together all happen",
        test: |d| Box::pin(concurrent::disjoint(d)),
    },
    Rule {
        name: "of overlapping writes each block has one, and reads agree",
        test: |d| Box::pin(concurrent::overlapping(d)),
    },
    Rule {
        name: "a flush and a read may be under way with writes",
        test: |d| Box::pin(concurrent::mixed(d)),
    },
];

/// Tries every rule on `device`, the content of which is lost. A device that is read-only is tried on [its
/// own rules](check_read_only).
///
/// # Panics
/// Where the device breaks a rule, with the rule's name; where it is too small or too large to be tested.
pub async fn check(device: &dyn Device) {
    let size = device.info().size_bytes;
    assert!(
        (SIZE_BYTES_MIN..=SIZE_BYTES_MAX).contains(&size),
        "the suite needs {SIZE_BYTES_MIN} to {SIZE_BYTES_MAX} bytes, the device has {size}"
    );
    for rule in RULES {
        if let Err(broken) = rule.test(device).await {
            panic!("the device breaks the rule \"{}\": {broken}", rule.name);
        }
    }
}

/// Tries on a read-only `device` that it refuses every change, changes nothing, and can be read.
///
/// # Panics
/// Where it does not.
pub async fn check_read_only(device: &dyn Device) {
    if let Err(broken) = rules::read_only(device).await {
        panic!("the device breaks the rule \"a read-only device cannot be changed\": {broken}");
    }
}

#[cfg(test)]
mod tests;
