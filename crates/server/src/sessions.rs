//! Who is connected to what, and what they asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::session::Counters;
use crate::traffic::Traffic;

/// The sessions of each export. Cheap to clone; all clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<BTreeMap<String, OfExport>>>);

#[derive(Debug, Default)]
struct OfExport {
    open: Vec<Arc<Counters>>,
    /// What those asked for that have ended.
    ended: Traffic,
}

impl Sessions {
    /// The number of sessions of the export that is known by this name.
    #[must_use]
    pub fn of_export(&self, name: &str) -> usize {
        self.0.lock().get(name).map_or(0, |export| export.open.len())
    }

    /// Each export that has a session, and how many.
    #[must_use]
    pub fn by_export(&self) -> BTreeMap<String, usize> {
        let exports = self.0.lock();
        let counts = exports.iter().map(|(name, export)| (name.clone(), export.open.len()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The answered requests of all sessions that the export known by this name has had since the server was bound.
    #[must_use]
    pub fn traffic_of(&self, name: &str) -> Traffic {
        let exports = self.0.lock();
        let Some(export) = exports.get(name) else { return Traffic::default() };
        let mut traffic = export.ended.clone();
        export.open.iter().for_each(|counters| traffic.add(&counters.read()));
        traffic
    }

    /// Forgets an export that is no more, with what was asked of it. Sessions that end later are not counted.
    pub fn forget(&self, export: &str) {
        self.0.lock().remove(export);
    }

    /// Counts a session until what is returned is dropped. An export is remembered for good, so that the name must be
    /// one that the server gave it, not one that a client made up.
    pub(crate) fn enter(&self, export: &str) -> Entered {
        let counters = Arc::default();
        let mut exports = self.0.lock();
        exports.entry(export.to_owned()).or_default().open.push(Arc::clone(&counters));
        Entered { sessions: self.clone(), export: export.to_owned(), counters }
    }
}

/// A session that is counted.
#[derive(Debug)]
pub(crate) struct Entered {
    sessions: Sessions,
    export: String,
    counters: Arc<Counters>,
}

impl Entered {
    /// What it counts in.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut exports = self.sessions.0.lock();
        if let Some(export) = exports.get_mut(&self.export) {
            export.open.retain(|counters| !Arc::ptr_eq(counters, &self.counters));
            export.ended.add(&self.counters.read());
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
