//! Text as people type it, and what may not be in it.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Trims `text` and brings it to Unicode NFC. Text that is in form already is not touched.
pub(super) fn normalize(text: &mut String) {
    if !text.is_ascii() && is_nfc_quick(text.chars()) != IsNormalized::Yes {
        *text = text.nfc().collect();
    }
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        *text = trimmed.to_owned();
    }
}

/// Whether `text` holds a control character other than tab, line feed and carriage return.
pub(super) fn has_control(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

/// Whether `text` holds a character that embeds, isolates or overrides the direction of the text after it.
///
/// Marks that only hint a direction (U+200E, U+200F, U+061C) are part of ordinary Arabic and Hebrew text and pass.
/// Source: Unicode TR 36, 2.8, and CVE-2021-42574.
pub(super) fn has_bidi(text: &str) -> bool {
    !text.is_ascii()
        && text.contains(['\u{202A}', '\u{202B}', '\u{202C}', '\u{202D}', '\u{202E}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}'])
}
