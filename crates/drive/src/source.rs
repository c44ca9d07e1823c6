//! Where media come from.

use std::sync::Arc;

use hotbay_block::{BoxFuture, Medium, Result};

/// Opens media by the names that users give them.
pub trait MediumSource: Send + Sync {
    /// Opens a medium for a volume; nothing is written to it. Fails where it is not there, or where something else
    /// has it open.
    fn open<'a>(
        &'a self,
        medium: &'a str,
        volume: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Medium>>>;

    /// Whether the medium can be found now. Cheap; called a few times a second.
    fn is_there(&self, medium: &str, volume: &str) -> bool;
}
