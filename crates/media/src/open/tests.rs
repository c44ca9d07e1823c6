use std::fs;
use std::os::unix::fs::PermissionsExt;

use hotbay_block::{Device, Durability, ErrorKind, Extent, Reply, Request};

use super::*;

async fn put(medium: &dyn Medium, offset: u64, data: &'static [u8]) {
    let extent = Extent::new(offset, data.len() as u64).unwrap();
    let (data, durability) = (data.into(), Durability::Stable);
    medium.execute(Request::Write { extent, data, durability }).answer().await.unwrap();
}

async fn get(medium: &dyn Medium, offset: u64, length: u64) -> Vec<u8> {
    let extent = Extent::new(offset, length).unwrap();
    let reply: Reply = medium.execute(Request::read(extent)).answer().await.unwrap();
    reply.into_payload().into_bytes().to_vec()
}

#[tokio::test]
async fn memory_stays_on_the_shelf_for_its_owner() {
    let shelf = Shelf::new();
    let spec: MediumSpec = "mem:1MiB".parse().unwrap();
    assert!(!shelf.contains(&spec, "music"));
    let medium = shelf.open(&spec, "music").await.unwrap();
    assert_eq!((medium.name(), medium.info().size_bytes), ("mem:1MiB", 1 << 20));
    put(&*medium, 100, b"tune").await;
    drop(medium);
    assert!(shelf.contains(&spec, "music"));
    assert!(!shelf.contains(&spec, "backup"));
    let again = shelf.open(&spec, "music").await.unwrap();
    assert_eq!(get(&*again, 99, 6).await, b"\0tune\0");
    let other = shelf.open(&spec, "backup").await.unwrap();
    assert_eq!(get(&*other, 99, 6).await, [0; 6]);
    let identities = (again.identify().await.unwrap(), other.identify().await.unwrap());
    assert_ne!(identities.0.hardware, identities.1.hardware);
}

#[tokio::test]
async fn a_file_is_created_only_where_none_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.img");
    let shelf = Shelf::new();
    let spec: MediumSpec = format!("file:{}?create=1MiB", path.display()).parse().unwrap();
    assert!(!shelf.contains(&spec, "v"), "what would be created is not there yet");
    let medium = shelf.open(&spec, "v").await.unwrap();
    assert_eq!(medium.name(), format!("file:{}", path.display()), "its name creates nothing");
    assert_eq!(medium.info().size_bytes, 1 << 20);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&metadata), 0, "it is sparse");
    put(&*medium, 0, b"kept").await;
    drop(medium);

    let larger: MediumSpec = format!("file:{}?create=2MiB", path.display()).parse().unwrap();
    let medium = shelf.open(&larger, "v").await.unwrap();
    assert_eq!(medium.info().size_bytes, 1 << 20, "what is there keeps its size");
    assert_eq!(get(&*medium, 0, 4).await, b"kept");
    assert!(shelf.contains(&spec, "v"));
}

#[tokio::test]
async fn errors_say_what_to_do_about_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |word: &str| -> MediumSpec {
        word.replace('@', &directory.path().display().to_string()).parse().unwrap()
    };
    let shelf = Shelf::new();
    for (word, kind, message) in [
        ("@/no.img", ErrorKind::Gone, "there is no file"),
        ("file:@/no/no.img?create=1KiB", ErrorKind::Gone, "there is no directory for"),
        ("@", ErrorKind::Invalid, "neither a regular file nor a block device"),
    ] {
        let error = shelf.open(&at(word), "v").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{word}");
        assert!(error.to_string().contains(message), "{word}: {error}");
        assert!(!fs::exists(directory.path().join("no")).unwrap());
    }
    let spec = at("file:@/a.img?create=4KiB");
    let _first = shelf.open(&spec, "v").await.unwrap();
    let error = shelf.open(&spec, "w").await.unwrap_err();
    assert!(error.to_string().contains("in use by this daemon already"), "{error}");
}
