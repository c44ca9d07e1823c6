//! `STATE/mirror.json`: what must outlive the daemon about a mirror; of one that is a part of a disk, `STATE/mirror-NAME.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotbay_drive::{CopyRecord, MirrorRecord, MirrorRecords};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Name;
use crate::directory::write_whole;

/// The version of the file's layout. One that is newer is refused.
const FORMAT: u32 = 1;

/// The record in a state directory that this process holds.
#[derive(Debug)]
pub(crate) struct MirrorFile {
    directory: PathBuf,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    generation: u64,
    #[serde(default)]
    content: u64,
    size_bytes: u64,
    granule_bytes: u64,
    marked: Vec<u32>,
    copies: Vec<StoredCopy>,
}

#[derive(Serialize, Deserialize)]
struct StoredCopy {
    volume: Uuid,
    content: u64,
    generation: u64,
}

impl MirrorFile {
    /// That of the mirror which all volumes make, in the state directory `directory`.
    pub(crate) fn of_all(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), name: "mirror.json".to_owned() }
    }

    /// That of the mirror of this name, which is a part of a disk.
    pub(crate) fn of_part(directory: &Path, mirror: &Name) -> Self {
        Self { directory: directory.to_owned(), name: format!("mirror-{mirror}.json") }
    }
}

impl MirrorRecords for MirrorFile {
    fn place(&self) -> String {
        self.directory.join(&self.name).display().to_string()
    }

    fn load(&self) -> io::Result<Option<MirrorRecord>> {
        let text = match fs::read(self.directory.join(&self.name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stored: Stored = serde_json::from_slice(&text)?;
        match stored.format {
            FORMAT => Ok(Some(stored.into())),
            format => {
                let name = &self.name;
                Err(io::Error::other(format!("{name}: its format {format} is not known here")))
            }
        }
    }

    fn save(&self, record: &MirrorRecord) -> io::Result<()> {
        write_whole(&self.directory, &self.name, &serde_json::to_vec(&Stored::from(record))?)
    }
}

impl From<&MirrorRecord> for Stored {
    fn from(record: &MirrorRecord) -> Self {
        let copy = |copy: &CopyRecord| StoredCopy {
            volume: Uuid::from_bytes(copy.volume),
            content: copy.content,
            generation: copy.generation,
        };
        Self {
            format: FORMAT,
            generation: record.generation,
            content: record.content,
            size_bytes: record.size_bytes,
            granule_bytes: record.granule_bytes,
            marked: record.marked.clone(),
            copies: record.copies.iter().map(copy).collect(),
        }
    }
}

impl From<Stored> for MirrorRecord {
    fn from(stored: Stored) -> Self {
        let copy = |copy: &StoredCopy| CopyRecord {
            volume: copy.volume.into_bytes(),
            content: copy.content,
            generation: copy.generation,
        };
        Self {
            generation: stored.generation,
            content: stored.content,
            size_bytes: stored.size_bytes,
            granule_bytes: stored.granule_bytes,
            copies: stored.copies.iter().map(copy).collect(),
            marked: stored.marked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_saved_and_a_newer_one_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = MirrorFile::of_part(place.path(), &"data".parse().unwrap());
        let path = place.path().join("mirror-data.json");
        assert_eq!(file.load().unwrap(), None);
        let copies = vec![CopyRecord { volume: [7; 16], content: 2, generation: 4 }];
        let (generation, marked) = (5, vec![0, 3]);
        let record = MirrorRecord {
            generation,
            content: 3,
            size_bytes: 9 << 20,
            granule_bytes: 1 << 20,
            marked,
            copies,
        };
        file.save(&record).unwrap();
        assert_eq!(file.load().unwrap(), Some(record));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"format\":1", "\"format\":2")).unwrap();
        assert!(file.load().unwrap_err().to_string().contains("format 2 is not known"));
    }
}
