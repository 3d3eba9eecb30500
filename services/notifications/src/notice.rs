//! What people are told: a line for the inbox and a letter for the mailbox, and their words. Pure.
//!
//! Deliberately absent: who is told of what (`rule`), the words around a letter (`mail/`), and the way of it (`delivery`).

use std::collections::BTreeMap;

use contract::identity::v1 as identity;
use contract::tasks::v1 as tasks;
use contract::time::datetime;
use events::{Logged, Outcome};
use runtime::{UserId, WorkspaceId};

use crate::category::Category;
use crate::mail::{Template, shown};

/// The longest line and the longest text of a notice, in characters.
const TITLE_CHARS_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 1_000;
/// Under which name a letter's data says what its link is for.
pub(crate) const LINK_ID: &str = "link_id";

/// One thing to tell one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Whom.
    pub user_id: UserId,
    /// What it is about.
    pub category: Category,
    /// What the inbox says; `None` for who can't look into it yet.
    pub line: Option<Line>,
    /// The mail; `None` for what the inbox alone tells.
    pub letter: Option<Letter>,
    /// The workspace of the thing.
    pub workspace_id: Option<WorkspaceId>,
    /// The kind of thing.
    pub resource_type: &'static str,
    /// The thing.
    pub resource_id: String,
}

/// What stands in an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// In one line.
    pub title: String,
    /// More of it.
    pub text: String,
}

/// What a mail is made of, but for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Its words.
    pub template: Template,
    /// What they are filled with.
    pub data: BTreeMap<String, String>,
}

/// A mail with a link that somebody asked for and waits for: who can't sign in can't look into an inbox either. `link_id` says to identity what
/// was asked for.
pub(crate) fn asked_for(user_id: &str, template: Template, link_id: &str) -> Result<Notice, Outcome> {
    let letter = Some(Letter { template, data: BTreeMap::from([(LINK_ID.to_owned(), link_id.to_owned())]) });
    let (resource_type, resource_id) = ("user", user_id.to_owned());
    Ok(Notice {
        user_id: self::user_id(user_id)?,
        category: Category::Account,
        line: None,
        letter,
        workspace_id: None,
        resource_type,
        resource_id,
    })
}

/// Another password is in place, and `ended` says of which sessions it was the end.
pub(crate) fn password_changed(event: &Logged, user_id: &str, ended: &str) -> Result<Notice, Outcome> {
    let title = "Your password was changed".to_owned();
    let text = format!("{ended} If this was not you, ask for another password.");
    Ok(Notice {
        user_id: self::user_id(user_id)?,
        category: Category::Security,
        line: Some(Line { title, text }),
        letter: Some(Letter { template: Template::PasswordChanged, data: BTreeMap::from([("time".to_owned(), time_of(event))]) }),
        workspace_id: None,
        resource_type: "user",
        resource_id: user_id.to_owned(),
    })
}

/// Another address is in place. The mail goes to the one that was given up.
pub(crate) fn email_changed(event: &Logged, user_id: &str, change_id: &str) -> Result<Notice, Outcome> {
    let title = "Your address was changed".to_owned();
    let text = "If this was not you, change your password and tell whoever runs this service.".to_owned();
    let data = BTreeMap::from([("time".to_owned(), time_of(event)), (LINK_ID.to_owned(), change_id.to_owned())]);
    Ok(Notice {
        user_id: self::user_id(user_id)?,
        category: Category::Security,
        line: Some(Line { title, text }),
        letter: Some(Letter { template: Template::EmailChanged, data }),
        workspace_id: None,
        resource_type: "user",
        resource_id: user_id.to_owned(),
    })
}

/// A second factor came, went or was used, as `change` says.
pub(crate) fn factor_changed(event: &Logged, user_id: &str, change: &str) -> Result<Notice, Outcome> {
    let text = "If this was not you, look at your second factors and change your password.".to_owned();
    let data = [("time", time_of(event)), ("change", change.to_owned())].map(|(name, value)| (name.to_owned(), value));
    Ok(Notice {
        user_id: self::user_id(user_id)?,
        category: Category::Security,
        line: Some(Line { title: change.to_owned(), text }),
        letter: Some(Letter { template: Template::FactorChanged, data: data.into() }),
        workspace_id: None,
        resource_type: "user",
        resource_id: user_id.to_owned(),
    })
}

/// When it happened, as a mail shows it.
fn time_of(event: &Logged) -> String {
    event.envelope.create_time.as_ref().and_then(datetime).map(shown).unwrap_or_default()
}

/// Somebody came in from where nobody came from before.
pub(crate) fn signed_in(event: &Logged, session: &identity::Session) -> Result<Notice, Outcome> {
    let title = "New sign-in to your account".to_owned();
    let text = "From a device or a network that is new. If this was not you, end the session and change your password.".to_owned();
    Ok(Notice {
        user_id: self::user_id(&session.user_id)?,
        category: Category::Security,
        line: Some(Line { title, text }),
        letter: Some(Letter { template: Template::SignIn, data: BTreeMap::from([("time".to_owned(), time_of(event))]) }),
        workspace_id: None,
        resource_type: "session",
        resource_id: session.session_id.clone(),
    })
}

/// Two held one refresh token, so the session was ended: one of them may be a thief.
pub(crate) fn session_ended(event: &Logged, session: &identity::Session) -> Result<Notice, Outcome> {
    let title = "One of your sessions was ended".to_owned();
    let text = "Its token was used twice, as if somebody had a copy of it. Sign in again; if you can't explain it, change your password."
        .to_owned();
    Ok(Notice {
        user_id: self::user_id(&session.user_id)?,
        category: Category::Security,
        line: Some(Line { title, text }),
        letter: Some(Letter { template: Template::SessionEnded, data: BTreeMap::from([("time".to_owned(), time_of(event))]) }),
        workspace_id: None,
        resource_type: "session",
        resource_id: session.session_id.clone(),
    })
}

/// A mail about an item, with `more` to put in.
pub(crate) fn letter<const N: usize>(template: Template, item: &tasks::WorkItem, more: [(&str, String); N]) -> Letter {
    let of_item = [("key", &item.key), ("title", &item.title), ("work_item_id", &item.work_item_id)];
    let of_item = of_item.map(|(name, value)| (name.to_owned(), shortened(value, TITLE_CHARS_MAX)));
    Letter { template, data: of_item.into_iter().chain(more.map(|(name, value)| (name.to_owned(), value))).collect() }
}

/// A thing of `workspace_id`, told in one line and by `letter`.
pub(crate) fn of_item(
    user_id: UserId,
    category: Category,
    title: &str,
    (workspace_id, item): (WorkspaceId, &tasks::WorkItem),
    letter: Letter,
) -> Notice {
    Notice {
        user_id,
        category,
        line: Some(Line { title: shortened(title, TITLE_CHARS_MAX), text: shortened(&item.title, TEXT_CHARS_MAX) }),
        letter: Some(letter),
        workspace_id: Some(workspace_id),
        resource_type: "work_item",
        resource_id: item.work_item_id.clone(),
    }
}

/// The person that an event names.
///
/// # Errors
/// [`Outcome::Poison`] for what names nobody.
pub(crate) fn user_id(text: &str) -> Result<UserId, Outcome> {
    text.parse().map_err(|_| Outcome::Poison("a user id is no UUID".to_owned()))
}

/// A state as people say it: `in progress`.
pub(crate) fn state(item: &tasks::WorkItem) -> String {
    item.state().as_str_name().trim_start_matches("WORK_ITEM_STATE_").to_lowercase().replace('_', " ")
}

fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max { text.to_owned() } else { text.chars().take(chars_max - 1).chain(['…']).collect() }
}
