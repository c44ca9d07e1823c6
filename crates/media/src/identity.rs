//! Identifiers in the content of a medium: what file systems, partition tables and the like write about
//! themselves.
//!
//! Only numbers that are made at random when the thing is created count; a label does not, because people
//! give the same one twice. Each format is told by its magic number, and an identifier of all zeroes is
//! none.

use uuid::Uuid;

/// Identity depends on the content before this offset, and on no byte behind it.
pub const IDENTIFYING_BYTES: u64 = 128 << 10;

/// The identifiers in `head`, the first [`IDENTIFYING_BYTES`] of a content or all of it where it is
/// shorter: such as
/// `ext:UUID`, `gpt:GUID`, `vfat:1234-ABCD`; sorted. Empty where nothing is recognised.
///
/// `head` may be any bytes at all.
#[must_use]
pub fn content_ids(head: &[u8]) -> Vec<String> {
    let head = Bytes(head);
    let mut found: Vec<String> =
        [ext, xfs, btrfs, vfat, exfat, ntfs, f2fs, swap, luks, lvm, raid, iso9660, gpt]
            .into_iter()
            .filter_map(|recognise| recognise(head))
            .collect();
    if found.is_empty() {
        found.extend(mbr(head));
    }
    found.sort_unstable();
    found
}

/// Bytes of which any range may be asked for; `None` where it is not there.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    fn has(self, offset: usize, magic: &[u8]) -> bool {
        self.0.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    }

    /// Sixteen bytes in the order in which they are written.
    fn uuid(self, offset: usize) -> Option<Uuid> {
        Some(Uuid::from_bytes(self.array(offset)?)).filter(|uuid| !uuid.is_nil())
    }

    fn u32_le(self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.array(offset)?)).filter(|number| *number != 0)
    }

    /// Text up to the first zero or blank; `None` where it is empty or not plain.
    fn text(self, offset: usize, length: usize) -> Option<String> {
        let field = self.0.get(offset..offset.checked_add(length)?)?;
        let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(length);
        let word = &field[..end];
        let is_plain = !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
        is_plain.then(|| String::from_utf8_lossy(word).into_owned())
    }
}

/// ext2, ext3, ext4: `s_magic` and `s_uuid` of the superblock at 1024.
fn ext(head: Bytes<'_>) -> Option<String> {
    head.has(1024 + 0x38, &[0x53, 0xef])
        .then(|| head.uuid(1024 + 0x68))?
        .map(|uuid| format!("ext:{uuid}"))
}

/// `sb_magicnum` and `sb_uuid` of the first superblock.
fn xfs(head: Bytes<'_>) -> Option<String> {
    head.has(0, b"XFSB").then(|| head.uuid(32))?.map(|uuid| format!("xfs:{uuid}"))
}

/// `magic` and `fsid` of the superblock at 64 KiB.
fn btrfs(head: Bytes<'_>) -> Option<String> {
    const SUPERBLOCK: usize = 64 << 10;
    head.has(SUPERBLOCK + 0x40, b"_BHRfS_M")
        .then(|| head.uuid(SUPERBLOCK + 0x20))?
        .map(|uuid| format!("btrfs:{uuid}"))
}

/// The volume serial number of the extended boot record, of FAT32 or of FAT12 and FAT16.
fn vfat(head: Bytes<'_>) -> Option<String> {
    let serial = if head.has(0x52, b"FAT32   ") {
        head.u32_le(0x43)?
    } else if head.has(0x36, b"FAT16   ") || head.has(0x36, b"FAT12   ") {
        head.u32_le(0x27)?
    } else {
        return None;
    };
    Some(format!("vfat:{}", dashed(serial)))
}

/// The volume serial number of the boot sector.
fn exfat(head: Bytes<'_>) -> Option<String> {
    head.has(3, b"EXFAT   ")
        .then(|| head.u32_le(100))?
        .map(|serial| format!("exfat:{}", dashed(serial)))
}

/// As `blkid` and DOS write a serial number.
fn dashed(serial: u32) -> String {
    format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff)
}

/// The volume serial number of the boot sector.
fn ntfs(head: Bytes<'_>) -> Option<String> {
    let serial = head.has(3, b"NTFS    ").then(|| head.array(0x48))??;
    Some(u64::from_le_bytes(serial))
        .filter(|serial| *serial != 0)
        .map(|serial| format!("ntfs:{serial:016X}"))
}

/// `magic` and `uuid` of the superblock at 1024.
fn f2fs(head: Bytes<'_>) -> Option<String> {
    head.has(1024, &0xf2f5_2010_u32.to_le_bytes())
        .then(|| head.uuid(1024 + 108))?
        .map(|uuid| format!("f2fs:{uuid}"))
}

/// The signature at the end of the first page, whatever the page size of the machine that wrote it.
fn swap(head: Bytes<'_>) -> Option<String> {
    [4096, 8192, 16384, 65536]
        .into_iter()
        .any(|page_bytes: usize| head.has(page_bytes - 10, b"SWAPSPACE2"))
        .then(|| head.uuid(1024 + 12))?
        .map(|uuid| format!("swap:{uuid}"))
}

/// LUKS1 and LUKS2 have the UUID as text in the same place.
fn luks(head: Bytes<'_>) -> Option<String> {
    head.has(0, b"LUKS\xba\xbe").then(|| head.text(168, 40))?.map(|uuid| format!("luks:{uuid}"))
}

/// A physical volume's label is in one of the first four sectors and says where its header is.
fn lvm(head: Bytes<'_>) -> Option<String> {
    (0..4).map(|sector| sector * 512).find_map(|label| {
        let is_label = head.has(label, b"LABELONE") && head.has(label + 24, b"LVM2 001");
        let header = is_label.then(|| head.u32_le(label + 20))??;
        let uuid = head.text(label.checked_add(usize::try_from(header).ok()?)?, 32)?;
        Some(format!("lvm:{uuid}"))
    })
}

/// A member of a Linux software array, version 1.1 or 1.2: `device_uuid`, which no other member has.
fn raid(head: Bytes<'_>) -> Option<String> {
    [0, 4096].into_iter().find_map(|superblock| {
        head.has(superblock, &0xa92b_4efc_u32.to_le_bytes())
            .then(|| head.uuid(superblock + 168))?
            .map(|uuid| format!("raid:{uuid}"))
    })
}

/// ISO 9660 has no number of its own; like `blkid`, takes the time of the last change, or of creation.
fn iso9660(head: Bytes<'_>) -> Option<String> {
    const DESCRIPTOR: usize = 32 << 10;
    if !head.has(DESCRIPTOR, b"\x01CD001") {
        return None;
    }
    [830, 813].into_iter().find_map(|place| {
        let digits = head.text(DESCRIPTOR + place, 16)?;
        let is_time = digits.len() == 16
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.bytes().any(|byte| byte != b'0');
        is_time.then(|| format!("iso9660:{digits}"))
    })
}

/// The disk's GUID in the header at the second sector, of 512 or of 4096 bytes.
fn gpt(head: Bytes<'_>) -> Option<String> {
    [512, 4096].into_iter().find_map(|header| {
        let guid = head.has(header, b"EFI PART").then(|| head.array(header + 56))??;
        // Its first three fields are little-endian.
        let guid = Uuid::from_bytes_le(guid);
        (!guid.is_nil()).then(|| format!("gpt:{guid}"))
    })
}

/// The disk signature of a master boot record. Boot sectors of file systems look the same, and a GPT has
/// one in front of it, so it counts only where nothing else is found.
fn mbr(head: Bytes<'_>) -> Option<String> {
    head.has(510, &[0x55, 0xaa])
        .then(|| head.u32_le(440))?
        .map(|number| format!("mbr:{number:08x}"))
}

#[cfg(test)]
mod tests;
