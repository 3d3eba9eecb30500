//! Mail: what it says, and the way it goes. Nothing here knows of deliveries.
//!
//! Deliberately absent: other channels, DKIM (the relay signs), one-click unsubscribe (N-04, with mail that nobody asked for).

mod by_line;
pub(crate) mod smtp;
mod template;

use lettre::address::AddressError;
use lettre::message::{Mailbox, MultiPart, header};
use lettre::{Address, Message};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use template::{Template, Templates};

/// A mail, made and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The address.
    pub to: String,
    /// Whose; empty when that is not known.
    pub name: String,
    /// In one line.
    pub subject: String,
    /// Plain.
    pub text: String,
    /// The same, for who wants it.
    pub html: String,
}

/// It can't be made: the address is none, say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmade {
    /// Not an address that SMTP takes.
    #[error("no address to send to")]
    Address(#[from] AddressError),
    /// An address whose part before the `@` is not ASCII: few servers take it, and to send it to one that does not would be a lie.
    #[error("the address needs SMTPUTF8, which is not spoken")]
    NotAscii,
    /// Not a message.
    #[error("no message can be made of it")]
    Message(#[from] lettre::error::Error),
    /// A template and what it is filled with do not fit.
    #[error("the template can't be filled")]
    Template(#[from] handlebars::RenderError),
}

impl Mail {
    /// The message of this mail, from `from`, under an id that is always the same for `delivery_id`: whoever gets two copies can tell.
    ///
    /// # Errors
    /// [`Unmade`].
    pub(crate) fn message(&self, from: &Mailbox, delivery_id: Uuid, now: OffsetDateTime) -> Result<Message, Unmade> {
        let name = (!self.name.is_empty()).then(|| plain(&self.name));
        let to = Mailbox::new(name, address(&self.to)?);
        let message_id = format!("<{delivery_id}@{}>", from.email.domain());
        let parts = MultiPart::alternative_plain_html(self.text.clone(), self.html.clone());
        let builder = Message::builder().from(from.clone()).to(to).subject(plain(&self.subject)).message_id(Some(message_id));
        Ok(builder.header(AutoSubmitted).date(now.into()).multipart(parts)?)
    }
}

/// The address as SMTP takes it: a domain that is not ASCII in its ASCII form. Source: RFC 5890, 2.3.2.1; RFC 6531.
fn address(text: &str) -> Result<Address, Unmade> {
    let parsed: Address = text.parse()?;
    if !parsed.user().is_ascii() {
        return Err(Unmade::NotAscii);
    }
    if parsed.domain().is_ascii() {
        return Ok(parsed);
    }
    let domain = idna::domain_to_ascii(parsed.domain()).map_err(|_| AddressError::InvalidDomain)?;
    Ok(Address::new(parsed.user(), domain)?)
}

/// Says that no person wrote it, so that no machine answers. Source: RFC 3834, 5.
#[derive(Clone)]
struct AutoSubmitted;

impl header::Header for AutoSubmitted {
    fn name() -> header::HeaderName {
        header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> header::HeaderValue {
        header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// `text` in one line: what ends a line or steers a terminal becomes a blank, so that no value can begin a header or a line of its own.
pub(crate) fn plain(text: &str) -> String {
    let is_line_end = |character: char| matches!(character, '\u{2028}' | '\u{2029}');
    text.chars().map(|character| if character.is_control() || is_line_end(character) { ' ' } else { character }).collect()
}

/// A time as a mail shows it.
pub(crate) fn shown(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(name: &str, subject: &str) -> Mail {
        let (to, text, html) = ("ana@muster.example".to_owned(), "grüße\r\n.\r\nQUIT".to_owned(), "<p>grüße</p>".to_owned());
        Mail { to, name: name.to_owned(), subject: subject.to_owned(), text, html }
    }

    fn formatted(mail: &Mail) -> String {
        let from = "Muster <no-reply@muster.example>".parse().unwrap();
        String::from_utf8(mail.message(&from, Uuid::from_u128(7), OffsetDateTime::UNIX_EPOCH).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_message_has_an_id_of_its_delivery_and_two_parts() {
        let message = formatted(&mail("Ana", "Hello"));
        for part in [
            "Message-ID: <00000000-0000-0000-0000-000000000007@muster.example>",
            "Auto-Submitted: auto-generated",
            "multipart/alternative",
            "text/plain; charset=utf-8",
            "text/html; charset=utf-8",
            "To: Ana <ana@muster.example>",
        ] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
    }

    #[test]
    fn nobody_writes_a_header_by_a_name_or_a_subject() {
        for ending in ["\r\n", "\n", "\r", "\u{2028}", "\u{85}", "\0"] {
            let evil = format!("x{ending}Bcc: eve@evil.example{ending}{ending}boo");
            let message = formatted(&mail(&evil, &evil));
            let (headers, _) = message.split_once("\r\n\r\n").unwrap();
            assert!(!headers.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{headers}");
            assert_eq!(headers.lines().filter(|line| line.starts_with("Subject:")).count(), 1, "{headers}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_here() {
        let from = "no-reply@muster.example".parse().unwrap();
        for to in ["", "ana", "ana@muster.example\r\nRCPT TO:<eve@evil.example>", "ana@muster.example> SIZE=1"] {
            let mail = Mail { to: to.to_owned(), ..mail("Ana", "Hello") };
            assert!(mail.message(&from, Uuid::nil(), OffsetDateTime::UNIX_EPOCH).is_err(), "{to}");
        }
    }

    #[test]
    fn a_domain_in_letters_of_its_own_is_written_in_ascii_and_a_name_in_such_is_refused() {
        let sent = |to: &str| {
            let from = "no-reply@muster.example".parse().unwrap();
            let mail = Mail { to: to.to_owned(), ..mail("Ana", "Hello") };
            mail.message(&from, Uuid::nil(), OffsetDateTime::UNIX_EPOCH).map(|message| message.envelope().to()[0].to_string())
        };
        assert_eq!(sent("ana@bücher.example").unwrap(), "ana@xn--bcher-kva.example");
        assert_eq!(sent("ana@muster.example").unwrap(), "ana@muster.example");
        assert!(matches!(sent("anä@muster.example"), Err(Unmade::NotAscii)));
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(shown(time::macros::datetime!(2026-03-02 09:05 +02:00)), "2026-03-02 07:05 UTC");
    }
}
