//! Whether a medium at the bay is the one that a volume was on.

use hotbay_block::Identity;

/// What a volume knows of its medium.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) identity: &'a Identity,
    /// Changes to the identifying blocks may be on the medium that the identity does not tell of.
    pub(crate) unsettled: bool,
    /// The media in whose place it, and others before it, were adopted.
    pub(crate) given_up: &'a [Identity],
}

/// What a medium at the bay is, as far as its identity tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recognised {
    /// The volume's own.
    Own,
    /// The volume's own, and another content was put on it meanwhile: why.
    Changed(String),
    /// Another one: why.
    Another(String),
}

/// Says what a medium is whose size fits.
///
/// From the strongest sign to the weakest: identifiers in the content (a file system's UUID, a disk's GUID), then the
/// hardware's own, then the file, and as the last resort the place. A weaker sign decides only where the stronger ones
/// say nothing, or cannot be relied on because they were being changed when the medium left. Where the content is
/// another one and the hardware or the file is the same, somebody has changed it.
pub(crate) fn recognise(known: Known<'_>, found: &Identity) -> Recognised {
    let identity = known.identity;
    if is_given_up(known.given_up, identity, found) {
        let why = format!("it was given up for {}", thing(identity));
        return Recognised::Another(why);
    }
    let shared = identity.content.iter().any(|id| found.content.contains(id));
    let neither = identity.content.is_empty() && found.content.is_empty();
    if shared || ((neither || known.unsettled) && same_thing(identity, found)) {
        return Recognised::Own;
    }
    if neither {
        let why = format!("it is {}, the volume was on {}", thing(found), thing(identity));
        return Recognised::Another(why);
    }
    let why = format!("it holds {}, the volume {}", content(found), content(identity));
    match same_beyond_its_place(identity, found) {
        true => Recognised::Changed(why),
        false => Recognised::Another(why),
    }
}

/// Whether it is beyond doubt another medium. That its content is another alone does not say so: a file system that was
/// being made when the daemon was killed is not known yet.
pub(crate) fn plainly_another(known: &Identity, found: &Identity) -> bool {
    if known.content.iter().any(|id| found.content.contains(id)) {
        return false;
    }
    match (&known.hardware, &found.hardware, &known.file, &found.file) {
        (Some(known), Some(found), _, _) | (_, _, Some(known), Some(found)) => known != found,
        _ => known.content != found.content || known.location != found.location,
    }
}

/// Whether it is a medium in whose place another one was adopted. That one got the identifiers in its content, and may agree
/// with it in all that is witnessed: only the hardware or the file tells them apart.
pub(crate) fn is_given_up(given_up: &[Identity], own: &Identity, found: &Identity) -> bool {
    given_up.iter().any(|given_up| same_beyond_its_place(given_up, found))
        && !same_beyond_its_place(own, found)
}

fn same_thing(a: &Identity, b: &Identity) -> bool {
    match (&a.hardware, &b.hardware) {
        (Some(a), Some(b)) => a == b,
        _ => same_beyond_its_place(a, b) || a.location == b.location,
    }
}

/// Whether the hardware, or else the file, says that it is the same.
fn same_beyond_its_place(a: &Identity, b: &Identity) -> bool {
    match (&a.hardware, &b.hardware) {
        (Some(a), Some(b)) => a == b,
        _ => a.file.is_some() && a.file == b.file,
    }
}

fn thing(identity: &Identity) -> &str {
    identity.hardware.as_deref().unwrap_or(&identity.location)
}

fn content(identity: &Identity) -> String {
    match identity.content.is_empty() {
        true => "nothing that is recognised".to_owned(),
        false => identity.content.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(content: &[&str], hardware: Option<&str>, file: &str, location: &str) -> Identity {
        Identity {
            size_bytes: 1 << 20,
            content: content.iter().map(|&id| id.to_owned()).collect(),
            hardware: hardware.map(str::to_owned),
            file: Some(file.to_owned()),
            location: location.to_owned(),
        }
    }

    fn known_as(identity: &Identity, unsettled: bool) -> Known<'_> {
        Known { identity, unsettled, given_up: &[] }
    }

    fn accepted(known: &Identity, unsettled: bool, found: &Identity) -> bool {
        recognise(known_as(known, unsettled), found) == Recognised::Own
    }

    fn is_changed(known: &Identity, found: &Identity) -> bool {
        let recognised = recognise(known_as(known, false), found);
        matches!(recognised, Recognised::Changed(_))
    }

    #[test]
    fn content_decides_before_hardware_file_and_place() {
        let known = medium(&["ext:1"], None, "inode:1:1", "/a");
        assert!(accepted(&known, false, &medium(&["ext:1"], None, "inode:1:2", "/b")));
        assert!(!accepted(&known, false, &medium(&["ext:2"], None, "inode:1:1", "/a")));
        assert!(!accepted(&known, false, &medium(&[], None, "inode:1:1", "/a")));
        assert!(accepted(&known, true, &medium(&["ext:2"], None, "inode:1:1", "/a")));
        assert!(!accepted(&known, true, &medium(&["ext:2"], None, "inode:1:9", "/b")));
    }

    #[test]
    fn without_content_the_thing_itself_decides() {
        let known = medium(&[], None, "inode:1:1", "/a");
        assert!(accepted(&known, false, &medium(&[], None, "inode:1:1", "/renamed")));
        assert!(accepted(&known, false, &medium(&[], None, "inode:9:9", "/a")));
        assert!(!accepted(&known, false, &medium(&[], None, "inode:9:9", "/b")));
        assert!(!accepted(&known, false, &medium(&["ext:1"], None, "inode:1:1", "/a")));
        let disk = medium(&[], Some("wwn:1"), "", "/dev/sda");
        assert!(accepted(&disk, false, &medium(&[], Some("wwn:1"), "", "/dev/sdb")));
        assert!(!accepted(&disk, false, &medium(&[], Some("wwn:2"), "", "/dev/sda")));
    }

    #[test]
    fn another_content_on_the_same_thing_is_a_change() {
        let image = medium(&["ext:1"], None, "inode:1:1", "/a");
        assert!(is_changed(&image, &medium(&["ext:2"], None, "inode:1:1", "/a")), "made anew");
        assert!(is_changed(&image, &medium(&[], None, "inode:1:1", "/b")), "wiped");
        assert!(!is_changed(&image, &medium(&["ext:2"], None, "inode:1:2", "/a")), "replaced");
        let stick = medium(&["ext:1"], Some("serial:1"), "", "/dev/sdb");
        assert!(is_changed(&stick, &medium(&["ext:2"], Some("serial:1"), "", "/dev/sdc")));
        assert!(!is_changed(&stick, &medium(&["ext:2"], Some("serial:2"), "", "/dev/sdb")));
    }

    #[test]
    fn only_what_is_beyond_doubt_another_medium_is_taken_for_one() {
        let stick = medium(&["ext:1"], Some("serial:1"), "", "/dev/sdb");
        let another = |found: &Identity| plainly_another(&stick, found);
        assert!(!another(&medium(&["ext:1"], Some("serial:2"), "", "/dev/sdc")), "a copy");
        assert!(!another(&medium(&["ext:2"], Some("serial:1"), "", "/dev/sdb")), "made anew");
        assert!(another(&medium(&["ext:2"], Some("serial:2"), "", "/dev/sdb")), "in its place");
        let image = medium(&[], None, "inode:1", "/srv/a.img");
        assert!(!plainly_another(&image, &medium(&["ext:1"], None, "inode:1", "/srv/b.img")));
        assert!(plainly_another(&image, &medium(&[], None, "inode:2", "/srv/a.img")), "replaced");
    }

    #[test]
    fn what_was_given_up_is_another_but_for_its_copies() {
        let lost = medium(&["ext:1"], Some("serial:1"), "", "/dev/sdb");
        let adopted = medium(&["ext:1"], Some("serial:2"), "", "/dev/sdb");
        let given_up = [medium(&["ext:1"], Some("serial:0"), "", "/dev/sdb"), lost.clone()];
        let known = Known { identity: &adopted, unsettled: true, given_up: &given_up };
        let why = "it was given up for serial:2".to_owned();
        assert_eq!(recognise(known, &lost), Recognised::Another(why));
        assert_eq!(recognise(known, &adopted), Recognised::Own);
        let copy = medium(&["ext:1"], Some("serial:3"), "", "/dev/sdb");
        assert_eq!(recognise(known, &copy), Recognised::Own);
        assert!(matches!(recognise(known, &given_up[0]), Recognised::Another(_)), "one before it");
        let given_up = [adopted.clone()];
        let again = Known { given_up: &given_up, ..known };
        assert_eq!(recognise(again, &adopted), Recognised::Own, "wiped and adopted again");
    }
}
