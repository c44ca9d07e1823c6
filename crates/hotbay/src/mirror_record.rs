//! `STATE/mirror.json`: what must outlive the daemon about a mirror; of one that is a part of a disk, `STATE/mirror-NAME.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotbay_drive::{CopyRecord, MirrorRecord, MirrorRecords};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Name;
use crate::directory::write_whole;
use crate::failure::Failure;

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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    apart: Vec<Uuid>,
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

/// Notes in the records of mirrors that are not made here that these volumes are served on their own. To be called before anybody
/// can write to one of them. `made` are the places of the records of mirrors that are made.
///
/// # Errors
/// Those of the file system.
pub(crate) fn serve_apart(
    directory: &Path,
    made: &[String],
    volumes: &[[u8; 16]],
) -> Result<(), Failure> {
    note_apart(directory, made, volumes).map_err(|error| {
        let state = directory.display();
        Failure::new(format!("cannot note in {state} which volumes are no copies now: {error}"))
            .with_hint("the state directory must be writable, and on stable storage")
    })
}

fn note_apart(directory: &Path, made: &[String], volumes: &[[u8; 16]]) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let file = MirrorFile { directory: directory.to_owned(), name };
        if !file.is_a_record() || made.contains(&file.place()) {
            continue;
        }
        // No mirror begins with a record that cannot be read.
        if let Ok(Some(mut record)) = file.load()
            && record.serve_apart(volumes.iter().copied())
        {
            file.save(&record)?;
        }
    }
    Ok(())
}

impl MirrorFile {
    fn is_a_record(&self) -> bool {
        let name = self.name.strip_suffix(".json");
        name.is_some_and(|name| name == "mirror" || name.starts_with("mirror-"))
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
            apart: record.apart.iter().copied().map(Uuid::from_bytes).collect(),
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
            apart: stored.apart.into_iter().map(Uuid::into_bytes).collect(),
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
            apart: Vec::new(),
        };
        file.save(&record).unwrap();
        assert_eq!(file.load().unwrap(), Some(record));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"format\":1", "\"format\":2")).unwrap();
        assert!(file.load().unwrap_err().to_string().contains("format 2 is not known"));
    }

    #[test]
    fn who_is_served_apart_is_noted_where_its_mirror_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let all = MirrorFile::of_all(place.path());
        let data = MirrorFile::of_part(place.path(), &"data".parse().unwrap());
        let copy = |id| CopyRecord { volume: [id; 16], content: 0, generation: 1 };
        let record = MirrorRecord {
            generation: 1,
            content: 0,
            size_bytes: 1 << 20,
            granule_bytes: 1 << 20,
            marked: Vec::new(),
            copies: vec![copy(1), copy(2)],
            apart: Vec::new(),
        };
        all.save(&record).unwrap();
        data.save(&record).unwrap();
        fs::write(place.path().join("volumes.json"), "{}").unwrap();
        serve_apart(place.path(), &[data.place()], &[[2; 16], [3; 16]]).unwrap();
        serve_apart(place.path(), &[data.place()], &[[2; 16]]).unwrap();
        assert_eq!(all.load().unwrap().unwrap().apart, [[2; 16]]);
        assert_eq!(data.load().unwrap().unwrap(), record);
    }
}
