use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const ID: [u8; 16] = *b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22\x33\x44\x55\x66\x77\x88";
const ID_TEXT: &str = "12345678-9abc-def0-1122-334455667788";

/// A content of zeroes with these bytes in it.
fn content(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(IDENTIFYING_BYTES).unwrap()];
    for (offset, part) in parts {
        bytes[*offset..offset + part.len()].copy_from_slice(part);
    }
    bytes
}

#[test]
fn formats_are_told_by_their_magic() {
    let boot: (usize, &[u8]) = (510, b"\x55\xaa");
    let serial: &[u8] = &0x1234_abcd_u32.to_le_bytes();
    let raid: (usize, &[u8]) = (4096, &[0xfc, 0x4e, 0x2b, 0xa9]);
    let luks_uuid = b"12345678-9abc-def0-1122-334455667788\0\0\0\0";
    let lvm_uuid = b"abcdefABCDEF0123456789abcdefABCD";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("ext:ID", content(&[(1080, b"\x53\xef"), (1128, &ID)])),
        ("xfs:ID", content(&[(0, b"XFSB"), (32, &ID)])),
        ("btrfs:ID", content(&[(65600, b"_BHRfS_M"), (65568, &ID)])),
        ("f2fs:ID", content(&[(1024, b"\x10\x20\xf5\xf2"), (1132, &ID)])),
        ("swap:ID", content(&[(4086, b"SWAPSPACE2"), (1036, &ID)])),
        ("swap:ID", content(&[(65526, b"SWAPSPACE2"), (1036, &ID)])),
        ("luks:ID", content(&[(0, b"LUKS\xba\xbe\0\x02"), (168, luks_uuid)])),
        (
            "lvm:abcdefABCDEF0123456789abcdefABCD",
            content(&[(512, b"LABELONE"), (532, &[32]), (536, b"LVM2 001"), (544, lvm_uuid)]),
        ),
        ("raid:ID", content(&[raid, (4096 + 168, &ID)])),
        ("vfat:1234-ABCD", content(&[(82, b"FAT32   "), (67, serial), boot])),
        ("vfat:1234-ABCD", content(&[(54, b"FAT16   "), (39, serial), boot])),
        ("vfat:1234-ABCD", content(&[(54, b"FAT12   "), (39, serial), boot])),
        ("exfat:1234-ABCD", content(&[(3, b"EXFAT   "), (100, serial), boot])),
        ("ntfs:000000001234ABCD", content(&[(3, b"NTFS    "), (72, serial), boot])),
        (
            "iso9660:2026010203040506",
            content(&[(32768, b"\x01CD001"), (32768 + 813, b"2026010203040506\0")]),
        ),
        (
            "iso9660:2027010203040506",
            content(&[
                (32768, b"\x01CD001"),
                (32768 + 813, b"2026010203040506\0"),
                (32768 + 830, b"2027010203040506\0"),
            ]),
        ),
        ("gpt:78563412-bc9a-f0de-1122-334455667788", content(&[(512, b"EFI PART"), (568, &ID)])),
        ("gpt:78563412-bc9a-f0de-1122-334455667788", content(&[(4096, b"EFI PART"), (4152, &ID)])),
        ("mbr:1234abcd", content(&[(440, serial), boot])),
    ];
    for (expected, bytes) in cases {
        assert_eq!(content_ids(&bytes), [expected.replace("ID", ID_TEXT)]);
    }
}

#[test]
fn several_are_sorted_and_a_boot_record_counts_only_alone() {
    let bytes = content(&[
        (440, b"\x01\x02\x03\x04"),
        (510, b"\x55\xaa"),
        (1080, b"\x53\xef"),
        (1128, &ID),
        (4096, b"EFI PART"),
        (4152, &ID),
    ]);
    let found = content_ids(&bytes);
    assert_eq!(
        found,
        [format!("ext:{ID_TEXT}"), "gpt:78563412-bc9a-f0de-1122-334455667788".into()]
    );
}

#[test]
fn an_identifier_of_zeroes_is_none() {
    for parts in [
        &[(1080, &b"\x53\xef"[..])][..],
        &[(0, b"XFSB")],
        &[(82, b"FAT32   ")],
        &[(512, b"EFI PART")],
        &[(510, b"\x55\xaa")],
        &[(0, b"LUKS\xba\xbe")],
        &[(32768, b"\x01CD001"), (32768 + 813, b"0000000000000000\0")],
        &[],
    ] {
        assert_eq!(content_ids(&content(parts)), [""; 0]);
    }
}

/// Makes an image with a real program; `None`, loudly, where it is not installed.
fn made_by(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(16 << 20).unwrap();
    let found = ["/usr/sbin", "/sbin", "/usr/bin"].map(|place| Path::new(place).join(program));
    let Some(path) = found.into_iter().find(|path| path.exists()) else {
        eprintln!("SKIPPED: {program} is not installed, so no real image is read");
        return None;
    };
    let made = Command::new(path).args(arguments).arg(image.path()).output().unwrap();
    assert!(made.status.success(), "{program}: {}", String::from_utf8_lossy(&made.stderr));
    let bytes = std::fs::read(image.path()).unwrap();
    Some(bytes[..usize::try_from(IDENTIFYING_BYTES).unwrap()].to_vec())
}

#[test]
fn images_of_real_programs_are_recognised() {
    for (program, arguments, kind) in [
        ("mke2fs", &["-q", "-F", "-t", "ext2", "-U", ID_TEXT][..], "ext"),
        ("mke2fs", &["-q", "-F", "-t", "ext4", "-U", ID_TEXT], "ext"),
        ("mke2fs", &["-q", "-F", "-t", "ext4", "-b", "4096", "-U", ID_TEXT], "ext"),
        ("mkswap", &["-q", "-U", ID_TEXT], "swap"),
    ] {
        if let Some(bytes) = made_by(program, arguments) {
            assert_eq!(content_ids(&bytes), [format!("{kind}:{ID_TEXT}")], "{program}");
        }
    }
}

#[test]
fn short_contents_are_read_as_far_as_they_go() {
    let bytes = content(&[(1080, b"\x53\xef"), (1128, &ID)]);
    for length in 0..1144 {
        assert_eq!(content_ids(&bytes[..length]), [""; 0], "{length}");
    }
    assert_eq!(content_ids(&bytes[..1144]).len(), 1);
}

proptest! {
    /// Any bytes at all behind each magic number.
    #[test]
    fn no_content_makes_it_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..8192),
        magic in prop::sample::select(vec![
            (0_usize, &b"LUKS\xba\xbe"[..]), (512, b"LABELONE"), (1080, b"\x53\xef"), (512, b"EFI PART"),
        ]),
    ) {
        let mut bytes = noise;
        let (offset, magic) = magic;
        if let Some(place) = bytes.get_mut(offset..offset + magic.len()) {
            place.copy_from_slice(magic);
        }
        if let Some(place) = bytes.get_mut(536..544) {
            place.copy_from_slice(b"LVM2 001");
        }
        let found = content_ids(&bytes);
        prop_assert!(found.is_sorted());
    }

    #[test]
    fn what_lies_behind_the_identifying_bytes_does_not_matter(
        tail in proptest::collection::vec(any::<u8>(), 0..4096),
    ) {
        let mut bytes = content(&[(1080, b"\x53\xef"), (1128, &ID)]);
        bytes.extend(tail);
        prop_assert_eq!(content_ids(&bytes), [format!("ext:{}", ID_TEXT)]);
    }
}
