//! `copy_of`: which volumes are copies of a mirror that is one part of a disk.

use std::str::FromStr;

use super::resolve::VolumeConfig;
use super::value::{Layout, Name};
use crate::failure::Failure;

/// The mirror that a volume is a copy of.
#[derive(Clone, Debug)]
pub(crate) struct CopyOf {
    /// Its name.
    pub(crate) mirror: Name,
    /// Where in the file it stands, for complaints.
    pub(super) place: String,
}

/// A key that has moved in its file says the same.
impl PartialEq for CopyOf {
    fn eq(&self, other: &Self) -> bool {
        self.mirror == other.mirror
    }
}

impl Eq for CopyOf {}

/// The name of a mirror as a file gives it; empty: none.
#[derive(Clone, Debug)]
pub(super) struct MirrorName(pub(super) Option<Name>);

impl FromStr for MirrorName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self(None)),
            name => name.parse().map(Some).map(Self),
        }
    }
}

/// What lies on a disk in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DiskPart<'a> {
    /// The volume of this name.
    Volume(&'a Name),
    /// A mirror, and its copies in their order.
    Mirror(&'a Name, Vec<&'a Name>),
}

/// What the volumes make on a disk, in order: a mirror lies where its first copy is named.
pub(crate) fn disk_parts(volumes: &[VolumeConfig]) -> Vec<DiskPart<'_>> {
    let mut parts: Vec<DiskPart<'_>> = Vec::new();
    for volume in volumes {
        let Some(CopyOf { mirror, .. }) = &volume.copy_of else {
            parts.push(DiskPart::Volume(&volume.name));
            continue;
        };
        let known = parts.iter_mut().find_map(|part| match part {
            DiskPart::Mirror(name, copies) if *name == mirror => Some(copies),
            _ => None,
        });
        match known {
            Some(copies) => copies.push(&volume.name),
            None => parts.push(DiskPart::Mirror(mirror, vec![&volume.name])),
        }
    }
    parts
}

/// Checks that mirrors are parts of a disk, and mirrors at all.
///
/// # Errors
/// Where they are not.
pub(super) fn check(layout: Layout, volumes: &[VolumeConfig]) -> Result<(), Failure> {
    for volume in volumes {
        let Some(CopyOf { mirror, place }) = &volume.copy_of else { continue };
        let refused = |message: String| Failure::new(format!("{place}copy_of: {message}"));
        match layout {
            Layout::Partitions | Layout::Linear => {}
            Layout::Volumes => {
                return Err(refused(
                    "in layout volumes there is no disk of which a mirror could be a part".into(),
                )
                .with_hint("layout = \"partitions\" or \"linear\" makes one; \"mirror\" makes one mirror of all volumes"));
            }
            Layout::Mirror => {
                return Err(refused(
                    "in layout mirror each volume is a copy of the one disk already; a mirror of mirrors or of partitions is not made".into(),
                )
                .with_hint("leave copy_of out, or write layout = \"partitions\" and make each part a mirror"));
            }
        }
        if volumes.iter().any(|other| other.name == *mirror) {
            return Err(refused(format!("{mirror} is the name of a volume"))
                .with_hint("give the mirror a name of its own"));
        }
        let copies = volumes.iter().filter(|other| other.copy_of == volume.copy_of);
        if copies.count() < 2 {
            return Err(refused(format!("{mirror} has no other copy")).with_hint(format!(
                "a mirror has two copies or more: give another volume copy_of = \"{mirror}\", or leave it out here"
            )));
        }
    }
    Ok(())
}
