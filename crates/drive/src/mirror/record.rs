//! What must outlive the daemon about a mirror: which copies are in sync, and where copies may differ.

use std::io;

use crate::failure::Refusal;

use super::Copy;
use super::granules::{Granules, Set};
use super::standing::{Standing, Standings};

/// A copy as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRecord {
    /// The identity of its volume.
    pub volume: [u8; 16],
    /// The number of the volume's content.
    pub content: u64,
    /// The generation in which it was in sync last.
    pub generation: u64,
}

/// A mirror as it is remembered. Small (at most 8 KiB of marks); written whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRecord {
    /// Counts the changes of which copies are in sync. The copies of this generation are.
    pub generation: u64,
    /// The number of its content. Clients that know an earlier one must not write to this one.
    pub content: u64,
    /// The mirror's size in bytes.
    pub size_bytes: u64,
    /// What one mark stands for, in bytes.
    pub granule_bytes: u64,
    /// The numbers of the granules, ascending, in which copies may differ, those in sync included.
    pub marked: Vec<u32>,
    /// The copies, in the order of the volumes.
    pub copies: Vec<CopyRecord>,
    /// The identities of copies that were served on their own since they were copies: what was written to one of them neither
    /// a mark nor a generation tells of.
    pub apart: Vec<[u8; 16]>,
}

impl MirrorRecord {
    /// Notes that these volumes are served on their own from now on, where they are copies. Whether that is news.
    pub fn serve_apart(&mut self, volumes: impl IntoIterator<Item = [u8; 16]>) -> bool {
        let before = self.apart.len();
        for volume in volumes {
            if self.copies.iter().any(|copy| copy.volume == volume) && !self.apart.contains(&volume)
            {
                self.apart.push(volume);
            }
        }
        self.apart.len() > before
    }
}

/// Where a mirror's record is kept.
pub trait MirrorRecords: Send + Sync {
    /// The place, for a person who is to look there.
    fn place(&self) -> String;

    /// The record that was saved last; `None` where none ever was.
    ///
    /// # Errors
    /// Where there is one that cannot be read.
    fn load(&self) -> io::Result<Option<MirrorRecord>>;

    /// Writes a record in place of the earlier one. Atomic and durable when it returns. Blocks; called off the hot path.
    ///
    /// # Errors
    /// Those of the file system; the earlier record is still there.
    fn save(&self, record: &MirrorRecord) -> io::Result<()>;
}

/// How the copies stand at a start, and the granules that are marked.
pub(super) fn found(
    copies: &[Copy],
    granules: Granules,
    records: &dyn MirrorRecords,
) -> Result<(Standings, MirrorRecord), Refusal> {
    let known = records.load().map_err(|error| {
        Refusal::new(format!("the mirror's record cannot be read: {error}")).hint(anew(records))
    })?;
    let fresh = fresh(copies, granules);
    let Some(known) = known else {
        // Nobody knows whether they are equal.
        let standings = newest_is(0, copies.len(), granules.all(), &fresh);
        return Ok((standings, MirrorRecord { marked: numbers(&granules.all()), ..fresh }));
    };
    if (known.size_bytes, known.granule_bytes) != (fresh.size_bytes, fresh.granule_bytes) {
        return Err(Refusal::new(format!(
            "the mirror has {} bytes, but its volumes have room for {}",
            known.size_bytes, fresh.size_bytes
        ))
        .hint(anew(records)));
    }
    if let Some(apart) = copies.iter().find(|copy| known.apart.contains(&copy.volume.content().0)) {
        let name = apart.volume.name();
        let why =
            format!("volume {name} was served on its own: nobody knows which copy is the newest");
        return Err(Refusal::new(why).hint(anew(records)));
    }
    let mut marked = granules.none();
    for number in known.marked.iter().map(|number| *number as usize) {
        if number < marked.len() {
            marked.insert(number);
        }
    }
    if copies.iter().any(|copy| of_copy(copy, &known).is_none()) {
        // One that is not known gets everything, also after another crash.
        marked = granules.all();
    }
    let standings = standings(copies, &known, &marked).ok_or_else(|| {
        Refusal::new("no volume of the mirror has the newest of its contents").hint(anew(records))
    })?;
    Ok((standings, MirrorRecord { marked: numbers(&marked), ..fresh }))
}

/// What is remembered of a copy with this content.
fn of_copy<'a>(copy: &Copy, known: &'a MirrorRecord) -> Option<&'a CopyRecord> {
    let (volume, content) = copy.volume.content();
    known.copies.iter().find(|known| (known.volume, known.content) == (volume, content))
}

fn anew(records: &dyn MirrorRecords) -> String {
    format!("to begin anew with the first volume's content, move {} away", records.place())
}

/// The numbers of the granules in a set.
pub(super) fn numbers(set: &Set) -> Vec<u32> {
    set.ones().map(|number| u32::try_from(number).expect("there are few granules")).collect()
}

fn fresh(copies: &[Copy], granules: Granules) -> MirrorRecord {
    let copy = |copy: &Copy| {
        let (volume, content) = copy.volume.content();
        CopyRecord { volume, content, generation: 0 }
    };
    MirrorRecord {
        generation: 0,
        content: 0,
        size_bytes: granules.size_bytes(),
        granule_bytes: granules.granule_bytes(),
        marked: Vec::new(),
        copies: copies.iter().map(copy).collect(),
        apart: Vec::new(),
    }
}

fn newest_is(newest: usize, count: usize, behind: Set, record: &MirrorRecord) -> Standings {
    let standing = |copy| match copy == newest {
        true => Standing::InSync,
        false => Standing::Behind { granules: behind.clone(), catching_up: false },
    };
    let of = (0..count).map(standing).collect();
    Standings::new(of, record.content, record.generation, vec![0; count])
}

/// The standings that follow from a record. Of several copies of the newest generation one counts as in sync, the others as behind
/// in what is marked: after a crash they may differ there in what nobody was told is safe, and only one may tell. `None` where there
/// is none of the newest generation.
fn standings(copies: &[Copy], known: &MirrorRecord, marked: &Set) -> Option<Standings> {
    let found: Vec<Option<&CopyRecord>> = copies.iter().map(|copy| of_copy(copy, known)).collect();
    let is_newest = |copy: usize| found[copy].is_some_and(|c| c.generation == known.generation);
    let newest: Vec<usize> = (0..copies.len()).filter(|copy| is_newest(*copy)).collect();
    let present = newest.iter().find(|copy| copies[**copy].is_present());
    let source = *present.or_else(|| newest.first())?;
    let standing = |copy: usize| match found[copy] {
        Some(_) if copy == source || (is_newest(copy) && marked.is_clear()) => Standing::InSync,
        _ => Standing::Behind { granules: marked.clone(), catching_up: false },
    };
    let generations = found.iter().map(|copy| copy.map_or(0, |copy| copy.generation)).collect();
    let of = (0..copies.len()).map(standing).collect();
    Some(Standings::new(of, known.content, known.generation, generations))
}
