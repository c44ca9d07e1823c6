//! Who is connected to what.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The number of sessions of each export. Cheap to clone; all clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<BTreeMap<String, usize>>>);

impl Sessions {
    /// The number of sessions of the export that is known by this name.
    #[must_use]
    pub fn of_export(&self, name: &str) -> usize {
        self.0.lock().get(name).copied().unwrap_or(0)
    }

    /// Each export that has a session, and how many.
    #[must_use]
    pub fn by_export(&self) -> BTreeMap<String, usize> {
        self.0.lock().clone()
    }

    /// Counts a session until what is returned is dropped.
    pub(crate) fn enter(&self, export: &str) -> Entered {
        *self.0.lock().entry(export.to_owned()).or_default() += 1;
        Entered { sessions: self.clone(), export: export.to_owned() }
    }
}

/// A session that is counted.
#[derive(Debug)]
pub(crate) struct Entered {
    sessions: Sessions,
    export: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.sessions.0.lock();
        if let Some(count) = counts.get_mut(&self.export) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.export);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_counted_while_it_lives() {
        let sessions = Sessions::default();
        let first = sessions.enter("usb");
        let second = sessions.clone().enter("usb");
        assert_eq!(sessions.of_export("usb"), 2);
        drop(first);
        assert_eq!(sessions.by_export(), BTreeMap::from([("usb".to_owned(), 1)]));
        drop(second);
        assert!(sessions.by_export().is_empty());
    }
}
