//! Where a volume's requests go at the moment.

use std::sync::Arc;

use crate::attachment::Attachment;
use crate::gate::Gate;
use crate::replay::Pace;
use crate::state::State;

/// Where requests go. Never changed; exchanged as a whole when the state changes.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) state: State,
    /// Counts the contents that the volume has had. A session belongs to one.
    pub(crate) content: u64,
    pub(crate) size_bytes: u64,
    pub(crate) path: Path,
}

/// The path that a request takes.
#[derive(Clone, Debug)]
pub(crate) enum Path {
    /// To the medium.
    Medium(Arc<Attachment>),
    /// To the journal, and for what the journal does not have to the medium underneath, where there is one.
    Journal {
        /// Counts changes and flushes on their way to the journal.
        gate: Arc<Gate>,
        /// What is underneath while the journal is replayed.
        under: Option<Under>,
    },
    /// Nowhere: each request fails.
    Closed,
}

/// The medium that the journal is replayed to, and how far the replay is.
#[derive(Clone, Debug)]
pub(crate) struct Under {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) pace: Arc<Pace>,
}

impl Under {
    /// For a replay that is going to begin.
    pub(crate) fn fresh(attachment: Arc<Attachment>) -> Self {
        Self { attachment, pace: Arc::default() }
    }
}

impl Route {
    /// The attachment it leads to, where a medium is in.
    pub(crate) fn attachment(&self) -> Option<&Arc<Attachment>> {
        match &self.path {
            Path::Medium(attachment) => Some(attachment),
            Path::Journal { under, .. } => under.as_ref().map(|under| &under.attachment),
            Path::Closed => None,
        }
    }
}
