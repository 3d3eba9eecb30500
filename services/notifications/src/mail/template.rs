//! The words of mails: `templates/<name>.{subject,txt,html}.hbs`, compiled in.
//!
//! Strict: a name that is not filled is an error and no gap. Values are put in as one line of plain text; HTML escapes them. A template holds no
//! helper and reads no file, so a value can't make it do more than show itself.

use std::collections::BTreeMap;

use handlebars::{Handlebars, RenderError, no_escape};
use serde::{Deserialize, Serialize};

use super::plain;

/// The longest value that is put in, in characters.
const VALUE_CHARS_MAX: usize = 1_000;

/// The words of one kind of mail. In the database by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Template {
    /// The link that proves an address.
    VerifyEmail,
    /// The link that lets choose another password.
    ResetPassword,
    /// The link that joins an organization.
    Invitation,
    /// The password is another one.
    PasswordChanged,
    /// The link that makes another address a person's.
    ChangeEmail,
    /// The address is another one.
    EmailChanged,
    /// What a sign-in asks for besides the password is another.
    FactorChanged,
    /// Somebody signed in.
    SignIn,
    /// A session was ended, since its token came back.
    SessionEnded,
    /// Something is to be done.
    Assigned,
    /// Something went on.
    StatusChanged,
}

impl Template {
    /// All of them.
    pub(crate) const ALL: [Template; 11] = [
        Template::VerifyEmail,
        Template::ResetPassword,
        Template::Invitation,
        Template::PasswordChanged,
        Template::ChangeEmail,
        Template::EmailChanged,
        Template::FactorChanged,
        Template::SignIn,
        Template::SessionEnded,
        Template::Assigned,
        Template::StatusChanged,
    ];

    /// Its name: of its files, in the table, on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Template::VerifyEmail => "verify_email",
            Template::ResetPassword => "reset_password",
            Template::Invitation => "invitation",
            Template::PasswordChanged => "password_changed",
            Template::ChangeEmail => "change_email",
            Template::EmailChanged => "email_changed",
            Template::FactorChanged => "factor_changed",
            Template::SignIn => "sign_in",
            Template::SessionEnded => "session_ended",
            Template::Assigned => "assigned",
            Template::StatusChanged => "status_changed",
        }
    }

    /// Subject, text, HTML.
    fn sources(self) -> [&'static str; 3] {
        macro_rules! files {
            ($name:literal) => {
                [
                    include_str!(concat!("../../templates/", $name, ".subject.hbs")),
                    include_str!(concat!("../../templates/", $name, ".txt.hbs")),
                    include_str!(concat!("../../templates/", $name, ".html.hbs")),
                ]
            };
        }
        match self {
            Template::VerifyEmail => files!("verify_email"),
            Template::ResetPassword => files!("reset_password"),
            Template::Invitation => files!("invitation"),
            Template::PasswordChanged => files!("password_changed"),
            Template::ChangeEmail => files!("change_email"),
            Template::EmailChanged => files!("email_changed"),
            Template::FactorChanged => files!("factor_changed"),
            Template::SignIn => files!("sign_in"),
            Template::SessionEnded => files!("session_ended"),
            Template::Assigned => files!("assigned"),
            Template::StatusChanged => files!("status_changed"),
        }
    }
}

/// A template, filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// In one line.
    pub subject: String,
    /// Plain.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// Every template, read once.
pub(crate) struct Templates(Handlebars<'static>);

impl Templates {
    /// Reads them.
    ///
    /// # Errors
    /// One that is none; a test reads them all.
    pub(crate) fn read() -> Result<Self, handlebars::TemplateError> {
        let mut all = Handlebars::new();
        all.set_strict_mode(true);
        all.register_escape_fn(no_escape);
        for template in Template::ALL {
            let [subject, text, html] = template.sources();
            all.register_template_string(&part(template, "subject"), subject.trim_end())?;
            all.register_template_string(&part(template, "txt"), text)?;
            all.register_template_string(&part(template, "html"), html)?;
        }
        Ok(Templates(all))
    }

    /// `template` with `values` put in.
    ///
    /// # Errors
    /// A name of the template that is not among them.
    pub(crate) fn fill(&self, template: Template, values: &BTreeMap<String, String>) -> Result<Filled, RenderError> {
        let values: BTreeMap<&str, String> = values.iter().map(|(name, value)| (name.as_str(), one_line(value))).collect();
        let escaped: BTreeMap<&str, String> = values.iter().map(|(name, value)| (*name, handlebars::html_escape(value))).collect();
        Ok(Filled {
            subject: self.0.render(&part(template, "subject"), &values)?,
            text: self.0.render(&part(template, "txt"), &values)?,
            html: self.0.render(&part(template, "html"), &escaped)?,
        })
    }
}

fn part(template: Template, kind: &str) -> String {
    format!("{}.{kind}", template.name())
}

fn one_line(value: &str) -> String {
    plain(value).chars().take(VALUE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody may try as a name or a title.
    const HOSTILE: [&str; 5] = [
        "<script>alert(1)</script>",
        "\" onmouseover=\"alert(1)",
        "{{link}} {{#each this}}{{/each}} {{{display_name}}}",
        "x\r\nBcc: eve@evil.example\r\n\r\n.\r\n",
        "' & < > ` =",
    ];

    fn all_filled_with(value: &str) -> BTreeMap<String, String> {
        let names = ["display_name", "link", "expire_time", "time", "change", "key", "title", "from", "to", "organization_display_name"];
        names.map(|name| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn every_template_shows_hostile_values_and_does_nothing_with_them() {
        let templates = Templates::read().unwrap();
        for (template, value) in Template::ALL.into_iter().flat_map(|template| HOSTILE.map(|value| (template, value))) {
            let filled = templates.fill(template, &all_filled_with(value)).unwrap();
            let harmless = templates.fill(template, &all_filled_with("x")).unwrap();
            let name = template.name();
            assert_eq!(filled.subject.lines().count(), 1, "{name}: {}", filled.subject);
            assert_eq!(filled.text.lines().count(), harmless.text.lines().count(), "{name}: {}", filled.text);
            for sign in ['<', '>', '"'] {
                assert_eq!(filled.html.matches(sign).count(), harmless.html.matches(sign).count(), "{name}: {}", filled.html);
            }
            assert!(filled.text.contains(&plain(value)), "{name} shows it as it is: {}", filled.text);
        }
    }

    #[test]
    fn a_name_that_is_not_filled_is_an_error() {
        let templates = Templates::read().unwrap();
        for template in Template::ALL {
            assert!(templates.fill(template, &BTreeMap::new()).is_err(), "{}", template.name());
        }
    }

    #[test]
    fn a_bomb_of_a_value_stays_within_its_bound() {
        let filled = Templates::read().unwrap().fill(Template::Assigned, &all_filled_with(&"<".repeat(1 << 20))).unwrap();
        assert!(filled.html.len() < 64 << 10 && filled.text.len() < 16 << 10);
    }
}
