//! What must outlive the daemon about a volume, besides its journal.

use hotbay_block::Identity;

use crate::witness::Witness;

/// As many media that were given up are remembered.
const GIVEN_UP_MAX: usize = 16;

/// A volume as it is remembered. Small; written whole at each change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeRecord {
    /// The volume's name.
    pub name: String,
    /// Its own identity, chosen at random once; its journal carries it.
    pub id: [u8; 16],
    /// Counts the contents that it has had. A client that knows an earlier one must not write to this one.
    pub content: u64,
    /// Its size in bytes; 0 while it is not known, because no medium was ever seen.
    pub size_bytes: u64,
    /// The size to which its medium is being grown: it may have that already.
    pub grows_to: Option<u64>,
    /// The medium it was on last, as its user names it.
    pub medium: Option<String>,
    /// Whether a medium is in a bay. A restart puts it back; where this is false the volume stays absent.
    pub in_bay: bool,
    /// Who the medium is, as of its last successful sync.
    pub identity: Option<Identity>,
    /// Changes to the identifying blocks may have reached the medium without a sync, so that its content may tell
    /// another identity than the one recorded.
    pub identity_unsettled: bool,
    /// What is certain to be on the medium. Empty while clients write to it, since then nothing here could keep up.
    pub witness: Witness,
    /// The media in whose place fresh ones were adopted, the last one first, at most 16: older copies of the volume, should they
    /// turn up again.
    pub given_up: Vec<Identity>,
    /// The medium that is in its bay in conflict, where one is.
    pub conflict: Option<String>,
    /// Why its medium is in conflict when it is back, whatever it holds: it is a copy of a mirror that went on without it.
    pub parted: Option<String>,
    /// The journal is being given up: whatever it still holds is not part of this content.
    pub discards_journal: bool,
}

impl VolumeRecord {
    /// A volume that was never seen before.
    pub fn new(name: impl Into<String>, id: [u8; 16]) -> Self {
        Self {
            name: name.into(),
            id,
            content: 0,
            size_bytes: 0,
            grows_to: None,
            medium: None,
            in_bay: false,
            identity: None,
            identity_unsettled: false,
            witness: Witness::default(),
            given_up: Vec::new(),
            conflict: None,
            parted: None,
            discards_journal: false,
        }
    }

    /// Whether a medium of this size may be the volume's: it has the volume's, or the one to which it is being grown.
    pub(crate) fn fits(&self, size_bytes: u64) -> bool {
        size_bytes == self.size_bytes || self.grows_to == Some(size_bytes)
    }

    /// Names the medium that the volume is on from now on. Nothing is certain of what it holds. One that is larger than the volume is
    /// being grown.
    pub(crate) fn go_to(&mut self, medium: &str, identity: Identity, content: u64) {
        self.medium = Some(medium.to_owned());
        self.in_bay = true;
        self.content = content;
        self.grows_to = Some(identity.size_bytes).filter(|size| *size != self.size_bytes);
        self.identity = Some(identity);
        self.identity_unsettled = false;
        self.witness = Witness::default();
        self.conflict = None;
        self.parted = None;
    }

    /// Remembers a medium in whose place another one is.
    pub(crate) fn give_up(&mut self, medium: Identity) {
        self.given_up.retain(|earlier| *earlier != medium);
        self.given_up.insert(0, medium);
        self.given_up.truncate(GIVEN_UP_MAX);
    }
}

/// Where records are kept.
pub trait Records: Send + Sync {
    /// Writes a record in place of the earlier one of the same volume. Atomic and durable when it returns: after a
    /// crash there is the earlier one or this one. Blocks; called off the hot path.
    ///
    /// # Errors
    /// Those of the file system; the earlier record is still there.
    fn save(&self, record: &VolumeRecord) -> std::io::Result<()>;
}
