use std::fs;

use super::*;

fn file_of(length: u64) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.img");
    File::create(&path).unwrap().set_len(length).unwrap();
    (directory, path)
}

/// How the file is found to be missing after `change`.
fn missing_after(change: impl FnOnce(&Path)) -> String {
    let (_directory, path) = file_of(8192);
    let open = OpenFile::open(&path).unwrap();
    open.presence().unwrap();
    change(&path);
    let error = open.presence().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    error.to_string()
}

#[test]
fn a_file_that_is_not_behind_its_path_any_more_is_gone() {
    let unlinked = missing_after(|path| fs::remove_file(path).unwrap());
    assert!(unlinked.ends_with("a.img is not there any more"), "{unlinked}");
    let renamed = missing_after(|path| fs::rename(path, path.with_extension("old")).unwrap());
    assert!(renamed.ends_with("a.img is not there any more"), "{renamed}");
    let replaced = missing_after(|path| {
        let other = path.with_extension("new");
        fs::write(&other, [0; 8192]).unwrap();
        fs::rename(other, path).unwrap();
    });
    assert!(replaced.ends_with("a.img is another file now"), "{replaced}");
    let directory = missing_after(|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    assert!(directory.ends_with("a.img is another file now"), "{directory}");
    let truncated =
        missing_after(|path| File::options().write(true).open(path).unwrap().set_len(1).unwrap());
    assert!(truncated.ends_with("was truncated from 8192 to 1 bytes"), "{truncated}");
}

#[test]
fn a_file_that_grew_or_came_back_is_there() {
    let (_directory, path) = file_of(8192);
    let open = OpenFile::open(&path).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(9000).unwrap();
    open.presence().unwrap();
    assert_eq!(open.info().size_bytes, 8192);
    let away = path.with_extension("old");
    fs::rename(&path, &away).unwrap();
    open.presence().unwrap_err();
    fs::rename(&away, &path).unwrap();
    open.presence().unwrap();
}

#[test]
fn an_error_is_called_by_what_is_behind_it() {
    let (_directory, path) = file_of(8192);
    let open = OpenFile::open(&path).unwrap();
    let kind = |fault| open.classify("write 0+1", fault).kind();
    assert_eq!(kind(Fault::Os(Errno::NOSPC)), ErrorKind::NoSpace);
    assert_eq!(kind(Fault::Os(Errno::IO)), ErrorKind::Medium);
    assert_eq!(kind(Fault::Os(Errno::NODEV)), ErrorKind::Gone);
    assert_eq!(kind(Fault::EndedEarly), ErrorKind::Medium);
    fs::remove_file(&path).unwrap();
    for fault in [Fault::Os(Errno::NOSPC), Fault::Os(Errno::IO), Fault::EndedEarly] {
        assert_eq!(kind(fault), ErrorKind::Gone, "{fault:?}");
    }
    let line = open.classify("write 0+1", Fault::Os(Errno::IO)).with_sources();
    assert!(line.starts_with("cannot write 0+1: /"), "{line}");
    assert!(line.contains("is not there any more: Input/output error"), "{line}");
}

#[test]
fn what_is_no_medium_is_refused_before_it_is_opened() {
    let refused = |path: &str| {
        let error = OpenFile::open(Path::new(path)).unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(refused("/dev/zero").0, ErrorKind::Invalid);
    let (kind, message) = refused("/proc");
    assert_eq!(kind, ErrorKind::Invalid);
    assert_eq!(message, "/proc is neither a regular file nor a block device");
    assert_eq!(
        refused("/nowhere/a.img"),
        (ErrorKind::Gone, "there is no file /nowhere/a.img".into())
    );
}

#[test]
fn a_file_has_one_user_at_a_time() {
    let (_directory, path) = file_of(4096);
    let link = path.with_extension("link");
    fs::hard_link(&path, &link).unwrap();
    let first = OpenFile::open(&path).unwrap();
    let error = OpenFile::open(&link).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium);
    assert!(error.to_string().ends_with("a.link is in use by this daemon already"), "{error}");
    drop(first);
    OpenFile::open(&link).unwrap();
}
