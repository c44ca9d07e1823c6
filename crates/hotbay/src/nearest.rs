//! What a person probably meant.

/// The known word that is most like `typed`, where one is like it at all. Upper and lower case are alike.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let length = typed.chars().count();
    let tolerated = (length / 3).max(1);
    known
        .map(|word| (strsim::damerau_levenshtein(&typed, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= tolerated && (*distance == 0 || *distance < length))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(typed: &str) -> Option<&'static str> {
        nearest(typed, ["a", "usb", "backup"].into_iter())
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        assert_eq!(meant("usv"), Some("usb"));
        assert_eq!(meant("bakcup"), Some("backup"));
        assert_eq!(meant("USB"), Some("usb"));
        assert_eq!(meant("A"), Some("a"));
        assert_eq!(meant("x"), None, "one letter is like any other");
        assert_eq!(meant("floppy"), None);
        assert_eq!(meant(""), None);
    }
}
