//! CRC-32C, the one checksum of the format.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of these bytes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksum of the bytes whose checksum is `before` with these behind them.
pub(crate) fn checksum_after(before: u32, bytes: &[u8]) -> u32 {
    // The state within a computation is the complement of what it gives out.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!before));
    digest.update(bytes);
    u32::try_from(digest.finalize()).expect("a CRC-32 has 32 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Journals are read by programs that compute it in other ways: vectors of RFC 3720, B.4, and the check value.
    #[test]
    fn it_is_crc_32c() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(checksum(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(checksum(&[]), 0);
    }

    /// Bit by bit, from the polynomial alone.
    fn slowly(bytes: &[u8]) -> u32 {
        let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
    }

    proptest! {
        #[test]
        fn every_length_in_any_two_parts(bytes in prop::collection::vec(any::<u8>(), 0..3000), at: usize) {
            let at = at % (bytes.len() + 1);
            prop_assert_eq!(checksum(&bytes), slowly(&bytes));
            let (before, behind) = bytes.split_at(at);
            prop_assert_eq!(checksum_after(checksum(before), behind), slowly(&bytes));
        }
    }
}
