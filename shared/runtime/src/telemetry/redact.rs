//! Keeps secrets and personal data out of logs and traces.
//!
//! The first line of defence is not to log them: types that hold them don't print. This is the second one, for what slips through, and it
//! errs on the side of taking too much.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use tracing::field::Field;
use tracing_subscriber::field::{MakeExt, MakeVisitor, RecordFields, VisitFmt, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// What stands in place of a value.
pub const REDACTED: &str = "[redacted]";

/// The longest text that is logged or exported, in bytes. What a caller sends must not fill the disk.
const TEXT_BYTES: usize = 4096;

/// A field whose name holds one of these is not written.
const NAMES: [&str; 15] = [
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "email",
    "muster-peer",
    "otp",
    "passphrase",
    "passwd",
    "password",
    "phone",
    "private_key",
    "secret",
    "token",
];

/// A name that ends so counts or measures, whatever else it says.
const MEASURES: [&str; 5] = ["_bytes", "_count", "_file", "_ms", "_seconds"];

/// Whether a field of this name is not written: it names a secret or personal data.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| name.contains(secret)) && !MEASURES.iter().any(|measure| name.ends_with(measure))
}

/// `text` without what looks like a token, an e-mail address, a private key or the password of a URL, cut at 4 KiB.
pub fn text(text: &str) -> Cow<'_, str> {
    let mut out = cut(text);
    for (hint, pattern, instead) in patterns() {
        if out.contains(hint)
            && let Cow::Owned(clean) = pattern.replace_all(&out, *instead)
        {
            out = Cow::Owned(clean);
        }
    }
    out
}

/// The text of a setting as `config show` prints it: by the name of the last part of its key, and without the password of a URL.
pub(crate) fn setting<'a>(key: &str, text: &'a str) -> Cow<'a, str> {
    let name = key.rsplit_once('.').map_or(key, |(_, last)| last);
    if is_secret_name(name) && !text.is_empty() {
        return Cow::Borrowed(REDACTED);
    }
    URL.replace_all(text, "$1:[redacted]@")
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let end = (0..=TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len()))
}

/// A text that must occur, so that most lines meet no pattern at all; the pattern; what stands in its place.
type Pattern = (&'static str, &'static Regex, &'static str);

static URL: LazyLock<Regex> = LazyLock::new(|| pattern(r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*):([^/\s@]+)@"));

fn patterns() -> &'static [Pattern; 6] {
    static JWT: LazyLock<Regex> = LazyLock::new(|| pattern(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*)?"));
    static SCHEME: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"));
    static EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\w.%+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}"));
    static KEY: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*"));
    static PATTERNS: LazyLock<[Pattern; 6]> = LazyLock::new(|| {
        [
            ("://", &*URL, "$1:[redacted]@"),
            ("eyJ", &*JWT, REDACTED),
            ("earer ", &*SCHEME, "$1 [redacted]"),
            ("asic ", &*SCHEME, "$1 [redacted]"),
            ("@", &*EMAIL, REDACTED),
            ("PRIVATE KEY", &*KEY, REDACTED),
        ]
    });
    &PATTERNS
}

fn pattern(text: &'static str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The fields of a line of pretty logs, redacted.
pub(super) fn fields() -> impl for<'writer> FormatFields<'writer> + 'static {
    Redacted(
        debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
            let name = field.name();
            if name.starts_with("log.") {
                return Ok(());
            }
            let shown = if is_secret_name(name) { Cow::Borrowed(REDACTED) } else { Cow::Owned(text(&format!("{value:?}")).into_owned()) };
            if name == "message" { write!(writer, "{shown}") } else { write!(writer, "{name}={shown}") }
        })
        .delimited(" "),
    )
}

/// A formatter of a type of its own: tracing-subscriber keeps the text of a span's fields by the type of their formatter.
struct Redacted<M>(M);

impl<'writer, M, V> FormatFields<'writer> for Redacted<M>
where
    M: MakeVisitor<Writer<'writer>, Visitor = V>,
    V: VisitFmt + VisitOutput<fmt::Result>,
{
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = self.0.make_visitor(writer);
        fields.record(&mut visitor);
        visitor.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_and_of_personal_data_are_known_in_any_case() {
        for name in
            ["password", "new_password", "Authorization", "refresh_token", "x-api_key", "set-cookie", "email", "recovery_email", "totp"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["user_id", "method", "password_file", "token_count", "token_ttl_seconds", "organization_id"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn values_that_look_like_secrets_are_taken_out_of_a_text() {
        let cases = [
            ("sent Bearer abcdef123456 twice", "sent Bearer [redacted] twice"),
            ("bad eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln!", "bad [redacted]!"),
            ("mail to ana.b+c@mail.example.org failed", "mail to [redacted] failed"),
            ("connect postgres://app:pa55@db:5432/x", "connect postgres://app:[redacted]@db:5432/x"),
            ("-----BEGIN PRIVATE KEY-----\nMC4CAQ", "[redacted]"),
            ("work item 7 is done @ noon", "work item 7 is done @ noon"),
        ];
        for (given, expected) in cases {
            assert_eq!(text(given), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let long = "ü".repeat(TEXT_BYTES);
        let shown = text(&long);
        assert!(shown.len() < TEXT_BYTES + 32 && shown.ends_with("(8192 bytes)"), "{}", shown.len());
    }
}
