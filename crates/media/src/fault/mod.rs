//! Faults that are asked for: a medium that errs, hangs, tears, forgets, vanishes or comes back wrong, at a moment that
//! a test chooses.
//!
//! * [`FaultSpec`]: one fault as a line of text. The language is in `docs/faults.md`.
//! * [`FaultPlan`]: the faults armed for one volume, and whether its medium is away by one. Outlives each stay.
//! * `medium`: what stands before every opened medium. While nothing is armed it costs one load of an atomic.
//! * `unsynced`: what a medium held before it was changed, so that changes that were not synced can be lost.
//!
//! Nothing is simulated above the medium: a fault acts on the requests, and the volume finds out by itself.

mod medium;
mod plan;
mod spec;
mod unsynced;

pub use plan::{ArmedFault, FaultPlan, TooManyFaults};
pub use spec::{FaultError, FaultSpec};

#[cfg(test)]
mod tests;
