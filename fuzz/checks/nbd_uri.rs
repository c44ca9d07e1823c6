//! Addresses of NBD servers, as users type them: any text is one or is refused, and one reads back as it is written.

use hotbay_nbd::uri::NbdUri;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(uri) = text.parse::<NbdUri>() {
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
}
