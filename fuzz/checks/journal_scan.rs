//! What lies in a journal's directory: any bytes are a journal or are reported to be none. Scanning changes nothing, and what is
//! opened after it shows nothing that lies outside of the volume.
//!
//! The first two bytes say what is there besides the journal that the rest changes: it is laid over a good journal's segments,
//! `LENGTH_LOW LENGTH_HIGH POSITION×4 BYTES…` again and again; with the lowest bit of the first byte it is a segment itself.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::testing::{Image, ImageStorage};
use hotbay_journal::{Change, Journal, OpenError, Settings, salvage, scan};

const SETTINGS: Settings = Settings { volume: [9; 16], size_bytes: 1 << 20, limit_bytes: 16 << 20 };

pub(crate) fn check(data: &[u8]) {
    let Some((&[how, cut], rest)) = data.split_first_chunk::<2>() else { return };
    static GOOD: LazyLock<Image> = LazyLock::new(good);
    let mut image = GOOD.clone();
    let names: Vec<String> = image.contents().into_keys().collect();
    let name = &names[usize::from(cut) % names.len()];
    if how & 1 == 0 {
        image.damage(name, |segment| lay_over(segment, rest));
    } else {
        image.damage(name, |segment| *segment = rest.to_vec());
    }
    if how & 2 != 0 {
        image.lose(&names[usize::from(how >> 2) % names.len()]);
    }
    let storage = ImageStorage::over(image.clone());
    if let Ok(report) = scan(&storage, Some(SETTINGS.volume)) {
        let _ = salvage(&storage, &report);
    }
    assert!(storage.image().contents() == image.contents(), "the scan has changed something");
    match Journal::open(Arc::new(ImageStorage::over(image)), SETTINGS) {
        Ok((journal, _)) => {
            let whole = Extent::new(0, SETTINGS.size_bytes).expect("it is one");
            for piece in journal.pieces(whole) {
                drop(piece);
            }
            journal.close().expect("nothing fails here");
        }
        Err(OpenError::Damaged(_) | OpenError::Scan(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// A journal of two writes, zeroes and a flush.
fn good() -> Image {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).expect("it is empty");
    let data = Bytes::from(vec![7; 8192]);
    let zeroes = Change::Zeroes(Extent::new(4096, 512).expect("it is one"));
    let later = Change::Write { offset: 65536, data: data.slice(..512) };
    journal.append(&[Change::Write { offset: 0, data }, zeroes]).expect("there is room");
    journal.sync().expect("it is memory");
    journal.append(&[later]).expect("there is room");
    journal.close().expect("it is memory");
    storage.image()
}

fn lay_over(segment: &mut [u8], mut edits: &[u8]) {
    while let Some((&[low, high, p0, p1, p2, p3], rest)) = edits.split_first_chunk::<6>() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (bytes, later) = rest.split_at(length);
        let position = u32::from_le_bytes([p0, p1, p2, p3]) as usize % segment.len().max(1);
        for (there, byte) in segment[position..].iter_mut().zip(bytes) {
            *there = *byte;
        }
        edits = later;
    }
}
