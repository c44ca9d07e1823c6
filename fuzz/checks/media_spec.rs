//! Names of media and sizes, as users and control clients give them: any text is one or is refused, and one reads back
//! as it is written. It has to: by that text the medium is found again after a restart.

use hotbay_media::{ByteSize, MediumSpec};

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse(), Ok(size));
    }
    if let Ok(spec) = text.parse::<MediumSpec>() {
        assert_eq!(spec.to_string().parse(), Ok(spec.clone()));
        let absolute = spec.absolute(std::path::Path::new("/srv"));
        assert_eq!(absolute.to_string().parse(), Ok(absolute));
    }
}
