//! Who is told of what: the rules from an event of another service to those who must hear of it. Pure.
//!
//! Nobody is told of what they did themselves, but for what protects their account. Deliberately absent: rules that people edit (N-08), what is
//! said (`notice`), and everything about the way to a person.

use std::collections::BTreeMap;

use contract::common::v1::ActorKind;
use contract::identity::v1 as identity;
use contract::tasks::v1 as tasks;
use events::{Logged, Outcome};
use runtime::UserId;
use uuid::Uuid;

use crate::category::Category;
use crate::device::Sighting;
use crate::mail::Template;
use crate::notice::{self, Letter, Notice, asked_for, email_changed, factor_changed, letter, password_changed, session_ended, signed_in};

/// Whether events of the type can lead to a notice.
pub(crate) fn wants(type_name: &str) -> bool {
    const WANTED: [&str; 19] = [
        "muster.identity.v1.InvitationCreated",
        "muster.identity.v1.InvitationResent",
        "muster.identity.v1.UserRegistered",
        "muster.identity.v1.VerificationRequested",
        "muster.identity.v1.PasswordResetRequested",
        "muster.identity.v1.PasswordReset",
        "muster.identity.v1.PasswordChanged",
        "muster.identity.v1.EmailChangeRequested",
        "muster.identity.v1.EmailChanged",
        "muster.identity.v1.SessionCreated",
        "muster.identity.v1.FactorEnrolled",
        "muster.identity.v1.FactorRemoved",
        "muster.identity.v1.UserFactorsReset",
        "muster.identity.v1.RecoveryCodesRegenerated",
        "muster.identity.v1.RecoveryCodeUsed",
        "muster.identity.v1.SessionRefreshReused",
        "muster.tasks.v1.WorkItemCreated",
        "muster.tasks.v1.WorkItemUpdated",
        "muster.tasks.v1.WorkItemTransitioned",
    ];
    WANTED.contains(&type_name)
}

/// Whom an event invites, who is nobody yet, and the mail to write there.
///
/// # Errors
/// [`Outcome::Poison`] for a body that is not what its type says.
pub(crate) fn invited(event: &Logged) -> Result<Option<(Uuid, Letter)>, Outcome> {
    let invitation_id = match event.of::<identity::InvitationCreated>()? {
        Some(body) => body.mail_wanted.then_some(body.invitation_id),
        None => event.of::<identity::InvitationResent>()?.map(|body| body.invitation_id),
    };
    let Some(invitation_id) = invitation_id else { return Ok(None) };
    let invitation_id = invitation_id.parse().map_err(|_| Outcome::Poison("the invitation id is no UUID".to_owned()))?;
    Ok(Some((invitation_id, Letter { template: Template::Invitation, data: BTreeMap::new() })))
}

/// What an event says of somebody's devices, if anything.
///
/// # Errors
/// [`Outcome::Poison`] for a body that is not what its type says.
pub(crate) fn sighting(event: &Logged) -> Result<Option<Sighting>, Outcome> {
    if let Some(body) = event.of::<identity::SessionCreated>()? {
        return Ok(Some(Sighting::SignedIn(notice::user_id(&body.after.unwrap_or_default().user_id)?)));
    }
    if let Some(body) = event.of::<identity::UserRegistered>()? {
        return Ok(Some(Sighting::Registered(notice::user_id(&body.user_id)?)));
    }
    if let Some(body) = event.of::<identity::PasswordReset>()? {
        return Ok(Some(Sighting::PasswordReset(notice::user_id(&body.user_id)?)));
    }
    if let Some(body) = event.of::<identity::PasswordChanged>()? {
        return Ok(Some(Sighting::PasswordChanged(notice::user_id(&body.user_id)?)));
    }
    Ok(None)
}

/// What an event says to whom; one notice a person at most. Of a sign-in it is for one from a device that is not known ([`sighting`]).
///
/// # Errors
/// [`Outcome::Poison`] for a body that is not what its type says.
pub(crate) fn notices(event: &Logged) -> Result<Vec<Notice>, Outcome> {
    if let Some(body) = event.of::<identity::UserRegistered>()? {
        // Not for whoever came by an invitation, who has proved the address with it, and not twice in a minute.
        return if body.mail_wanted { Ok(vec![asked_for(&body.user_id, Template::VerifyEmail, "")?]) } else { Ok(Vec::new()) };
    }
    if let Some(body) = event.of::<identity::VerificationRequested>()? {
        return Ok(vec![asked_for(&body.user_id, Template::VerifyEmail, "")?]);
    }
    if let Some(body) = event.of::<identity::PasswordResetRequested>()? {
        return Ok(vec![asked_for(&body.user_id, Template::ResetPassword, &body.password_reset_id)?]);
    }
    if let Some(body) = event.of::<identity::PasswordReset>()? {
        return Ok(vec![password_changed(event, &body.user_id, "All sessions were ended.")?]);
    }
    if let Some(body) = event.of::<identity::PasswordChanged>()? {
        return Ok(vec![password_changed(event, &body.user_id, "All other sessions were ended.")?]);
    }
    if let Some(body) = event.of::<identity::EmailChangeRequested>()? {
        return Ok(vec![asked_for(&body.user_id, Template::ChangeEmail, &body.email_change_id)?]);
    }
    if let Some(body) = event.of::<identity::EmailChanged>()? {
        return Ok(vec![email_changed(event, &body.user_id, &body.email_change_id)?]);
    }
    if let Some(body) = event.of::<identity::SessionCreated>()? {
        let session = body.after.unwrap_or_default();
        return Ok(vec![signed_in(event, &session)?]);
    }
    if let Some((user_id, change)) = factor_change(event)? {
        return Ok(vec![factor_changed(event, &user_id, change)?]);
    }
    if let Some(body) = event.of::<identity::SessionRefreshReused>()? {
        let session = body.after.unwrap_or_default();
        return Ok(vec![session_ended(event, &session)?]);
    }
    if let Some(body) = event.of::<tasks::WorkItemCreated>()? {
        let item = body.after.unwrap_or_default();
        return assigned(event, &[], &item);
    }
    if let Some(body) = event.of::<tasks::WorkItemUpdated>()? {
        let before = body.before.unwrap_or_default();
        return assigned(event, &before.assignee_ids, &body.after.unwrap_or_default());
    }
    if let Some(body) = event.of::<tasks::WorkItemTransitioned>()? {
        let before = body.before.unwrap_or_default();
        return moved(event, &before, &body.after.unwrap_or_default());
    }
    Ok(Vec::new())
}

/// Whose second factor an event changed, and how a mail says it.
fn factor_change(event: &Logged) -> Result<Option<(String, &'static str)>, Outcome> {
    if let Some(body) = event.of::<identity::FactorEnrolled>()? {
        return Ok(Some((body.after.unwrap_or_default().user_id, "An authenticator app was added to your account")));
    }
    if let Some(body) = event.of::<identity::FactorRemoved>()? {
        return Ok(Some((body.before.unwrap_or_default().user_id, "An authenticator app was removed from your account")));
    }
    if let Some(body) = event.of::<identity::UserFactorsReset>()? {
        return Ok(Some((body.user_id, "An administrator took away the second factors of your account")));
    }
    if let Some(body) = event.of::<identity::RecoveryCodesRegenerated>()? {
        return Ok(Some((body.user_id, "New recovery codes were made for your account")));
    }
    Ok(event.of::<identity::RecoveryCodeUsed>()?.map(|body| (body.user_id, "A recovery code of your account was used")))
}

/// Those who are to do it and were not before.
fn assigned(event: &Logged, before: &[String], item: &tasks::WorkItem) -> Result<Vec<Notice>, Outcome> {
    let added = item.assignee_ids.iter().filter(|id| !before.contains(id));
    let letter = letter(Template::Assigned, item, []);
    about(event, item, Category::Assignment, added, format!("{} was assigned to you", item.key), letter)
}

/// Those who do it, and who reported it.
fn moved(event: &Logged, before: &tasks::WorkItem, after: &tasks::WorkItem) -> Result<Vec<Notice>, Outcome> {
    let title = format!("{} went from {} to {}", after.key, notice::state(before), notice::state(after));
    let letter = letter(Template::StatusChanged, after, [("from", notice::state(before)), ("to", notice::state(after))]);
    about(event, after, Category::Status, after.assignee_ids.iter().chain([&after.reporter_id]), title, letter)
}

fn about<'a>(
    event: &Logged,
    item: &tasks::WorkItem,
    category: Category,
    whom: impl Iterator<Item = &'a String>,
    title: String,
    letter: Letter,
) -> Result<Vec<Notice>, Outcome> {
    let actor = event.envelope.actor.as_ref().filter(|actor| actor.kind() == ActorKind::User);
    let mut people: Vec<UserId> = Vec::new();
    for user_id in whom.filter(|user_id| actor.is_none_or(|actor| actor.actor_id != **user_id)) {
        let user_id = notice::user_id(user_id)?;
        if !people.contains(&user_id) {
            people.push(user_id);
        }
    }
    let workspace_id = item.workspace_id.parse().map_err(|_| Outcome::Poison("the workspace id is no UUID".to_owned()))?;
    Ok(people.into_iter().map(|user_id| notice::of_item(user_id, category, &title, (workspace_id, item), letter.clone())).collect())
}

#[cfg(test)]
mod tests {
    use contract::common::v1::{Actor, EventEnvelope};
    use contract::tasks::v1::{WorkItem, WorkItemState};
    use prost::{Message, Name};

    use super::*;
    use crate::notice::LINK_ID;

    fn person(n: u128) -> String {
        Uuid::from_u128(n).to_string()
    }

    fn by<E: Message + Name>(actor: u128, body: &E) -> Logged {
        let actor = Some(Actor { kind: ActorKind::User.into(), actor_id: person(actor) });
        let envelope = EventEnvelope { r#type: E::full_name(), actor, ..EventEnvelope::default() };
        Logged { envelope, body: body.encode_to_vec().into() }
    }

    fn item(assignees: &[u128]) -> WorkItem {
        let assignee_ids = assignees.iter().map(|n| person(*n)).collect();
        let state = WorkItemState::InProgress.into();
        WorkItem {
            key: "ACME-1".into(),
            title: "light it".into(),
            workspace_id: person(9),
            reporter_id: person(1),
            assignee_ids,
            state,
            ..WorkItem::default()
        }
    }

    fn told(event: &Logged) -> Vec<(u128, String)> {
        notices(event).unwrap().into_iter().map(|notice| (notice.user_id.uuid().as_u128(), notice.line.unwrap().title)).collect()
    }

    #[test]
    fn who_is_newly_to_do_something_is_told_but_not_by_their_own_hand() {
        let created = tasks::WorkItemCreated { work_item_id: "i".into(), after: Some(item(&[1, 2])) };
        assert_eq!(told(&by(1, &created)), [(2, "ACME-1 was assigned to you".to_owned())]);
        let updated = |before: &[u128], after: &[u128]| tasks::WorkItemUpdated {
            work_item_id: "i".into(),
            before: Some(item(before)),
            after: Some(item(after)),
        };
        assert_eq!(told(&by(1, &updated(&[2], &[2, 3]))), [(3, "ACME-1 was assigned to you".to_owned())]);
        assert_eq!(told(&by(1, &updated(&[2, 3], &[3]))), []);
    }

    #[test]
    fn a_move_is_told_to_who_does_it_and_who_reported_it_once_each() {
        let before = WorkItem { state: WorkItemState::NotStarted.into(), ..item(&[]) };
        let event = |assignees: &[u128]| tasks::WorkItemTransitioned {
            work_item_id: "i".into(),
            before: Some(before.clone()),
            after: Some(item(assignees)),
        };
        let title = || "ACME-1 went from not started to in progress".to_owned();
        assert_eq!(told(&by(2, &event(&[2, 3, 1]))), [(3, title()), (1, title())]);
        assert_eq!(told(&by(1, &event(&[]))), []);
    }

    #[test]
    fn a_long_title_is_cut_at_a_character() {
        let long = WorkItem { key: "é".repeat(300), title: "ü".repeat(1_001), ..item(&[2]) };
        let created = tasks::WorkItemCreated { work_item_id: "i".into(), after: Some(long) };
        let line = notices(&by(1, &created)).unwrap().remove(0).line.unwrap();
        assert_eq!((line.title.chars().count(), line.text.chars().count()), (200, 1_000));
        assert!(line.text.ends_with('…'));
    }

    #[test]
    fn whose_refresh_token_came_back_is_told_though_they_seem_to_have_done_it_themselves() {
        let session = identity::Session { session_id: person(5), user_id: person(2), ..identity::Session::default() };
        let reused =
            identity::SessionRefreshReused { session_id: person(5), after: Some(session), ..identity::SessionRefreshReused::default() };
        let [notice] = notices(&by(2, &reused)).unwrap().try_into().unwrap();
        assert_eq!((notice.user_id.uuid().as_u128(), notice.category), (2, Category::Security));
        assert_eq!((notice.letter.unwrap().template, notice.resource_id), (Template::SessionEnded, person(5)));
    }

    #[test]
    fn every_event_that_a_rule_reads_is_wanted() {
        let names = [
            identity::InvitationCreated::full_name(),
            identity::InvitationResent::full_name(),
            identity::UserRegistered::full_name(),
            identity::VerificationRequested::full_name(),
            identity::PasswordResetRequested::full_name(),
            identity::PasswordReset::full_name(),
            identity::PasswordChanged::full_name(),
            identity::EmailChangeRequested::full_name(),
            identity::EmailChanged::full_name(),
            identity::SessionCreated::full_name(),
            identity::FactorEnrolled::full_name(),
            identity::FactorRemoved::full_name(),
            identity::UserFactorsReset::full_name(),
            identity::RecoveryCodesRegenerated::full_name(),
            identity::RecoveryCodeUsed::full_name(),
            identity::SessionRefreshReused::full_name(),
            tasks::WorkItemCreated::full_name(),
            tasks::WorkItemUpdated::full_name(),
            tasks::WorkItemTransitioned::full_name(),
        ];
        assert!(names.iter().all(|name| wants(name)));
        assert!(!wants(&identity::SessionRevoked::full_name()));
    }

    #[test]
    fn who_can_not_sign_in_gets_mail_alone_and_whose_password_was_changed_both() {
        let registered = identity::UserRegistered { user_id: person(2), after: None, mail_wanted: true };
        let again = identity::VerificationRequested { user_id: person(2) };
        let reset = identity::PasswordResetRequested { user_id: person(2), password_reset_id: person(7) };
        let told = |event: &Logged| {
            let notice = notices(event).unwrap().remove(0);
            let letter = notice.letter.unwrap();
            (notice.category, notice.line.is_some(), letter.template, letter.data.get(LINK_ID).cloned())
        };
        let proof = (Category::Account, false, Template::VerifyEmail, Some(String::new()));
        assert_eq!((told(&by(2, &registered)), told(&by(2, &again))), (proof.clone(), proof));
        assert_eq!(told(&by(2, &reset)), (Category::Account, false, Template::ResetPassword, Some(person(7))));
        let changed = identity::PasswordReset { user_id: person(2), before: None, after: None };
        assert_eq!(told(&by(2, &changed)), (Category::Security, true, Template::PasswordChanged, None));
    }

    #[test]
    fn whoever_changed_a_second_factor_its_owner_is_told() {
        let factor = || Some(identity::Factor { user_id: person(2), ..identity::Factor::default() });
        let told = |event: &Logged| {
            let notice = notices(event).unwrap().remove(0);
            let letter = notice.letter.unwrap();
            assert_eq!(
                (notice.category, notice.user_id.uuid().as_u128(), letter.template),
                (Category::Security, 2, Template::FactorChanged)
            );
            assert_eq!(letter.data["change"], notice.line.unwrap().title);
            letter.data["change"].clone()
        };
        let changes = [
            told(&by(2, &identity::FactorEnrolled { factor_id: person(7), after: factor() })),
            told(&by(2, &identity::FactorRemoved { factor_id: person(7), before: factor(), revocation: None })),
            told(&by(1, &identity::UserFactorsReset { user_id: person(2), factors: 1, revocation: None })),
            told(&by(2, &identity::RecoveryCodesRegenerated { user_id: person(2) })),
            told(&by(2, &identity::RecoveryCodeUsed { user_id: person(2), recovery_codes_left: 9 })),
        ];
        assert_eq!(std::collections::BTreeSet::from(changes).len(), 5, "each in words of its own");
    }

    #[test]
    fn what_names_nobody_is_poison() {
        let created = identity::SessionCreated { session_id: "s".into(), after: None };
        assert!(matches!(notices(&by(1, &created)), Err(Outcome::Poison(_))));
        assert!(matches!(sighting(&by(1, &created)), Err(Outcome::Poison(_))));
    }

    #[test]
    fn who_registers_signs_in_or_changes_a_password_is_seen() {
        let session = identity::Session { user_id: person(2), ..identity::Session::default() };
        let signed_in = identity::SessionCreated { session_id: "s".into(), after: Some(session) };
        let registered = identity::UserRegistered { user_id: person(2), after: None, mail_wanted: true };
        let reset = identity::PasswordReset { user_id: person(2), before: None, after: None };
        let changed = identity::PasswordChanged { user_id: person(2), before: None, after: None };
        let whose = UserId::from(Uuid::from_u128(2));
        assert_eq!(sighting(&by(2, &signed_in)).unwrap(), Some(Sighting::SignedIn(whose)));
        assert_eq!(sighting(&by(2, &registered)).unwrap(), Some(Sighting::Registered(whose)));
        assert_eq!(sighting(&by(2, &reset)).unwrap(), Some(Sighting::PasswordReset(whose)));
        assert_eq!(sighting(&by(2, &changed)).unwrap(), Some(Sighting::PasswordChanged(whose)));
        let asked = identity::VerificationRequested { user_id: person(2) };
        assert_eq!(sighting(&by(2, &asked)).unwrap(), None);
    }
}
