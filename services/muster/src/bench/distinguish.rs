//! Whether a stranger can tell by the time of the answer that an address or a username is somebody's.
//!
//! Pairs of the same call, one for somebody who is there and one for nobody, in turns. The area under the ROC curve of the best guess by time is 0.5
//! when the two are alike, and 1 when one look is enough; of so many pairs it is within 0.04 of the truth nineteen times in twenty.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use contract::identity::v1::{
    CreateSessionRequest, RegisterUserRequest, RequestPasswordResetRequest, ResendVerificationRequest, SetUsernameRequest,
    account_service_client::AccountServiceClient, create_session_request::Identifier, session_service_client::SessionServiceClient,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use tonic::{Code, transport::Channel};

use super::{
    actor::{sign_in, signed},
    figures::figure,
    load,
    report::Figure,
    sign_in::Crowd,
};
use crate::seed;

/// Pairs of a comparison; and how many of them there are at a time where identity is busy.
const PAIRS: usize = 400;
const BUSY_PAIRS: usize = 4;
/// Who signs in beside them where identity is busy.
const BUSY_SIGN_INS: usize = 4;

/// What a stranger asks in the name of somebody.
#[derive(Clone)]
enum Ask {
    SignIn(Identifier),
    Reset(String),
    /// Of an address, and a registration of it.
    Resend(String, String),
}

/// Idle and loaded, of the people of `crowd`, who have `emails`.
pub(super) async fn figures(identity: &Channel, crowd: &Crowd<'_>, emails: &[String]) -> anyhow::Result<Vec<Figure>> {
    // As many as there are known ones, so that each is asked for as often.
    let nobody = |name: &str| (0..emails.len()).map(|number| format!("{name}-{number}")).collect::<Vec<_>>();
    let address = |name: &String| format!("{name}@muster.example");
    let by =
        |of: &dyn Fn(String) -> Identifier, names: Vec<String>| names.into_iter().map(|name| Ask::SignIn(of(name))).collect::<Vec<_>>();
    let by_email = [by(&Identifier::Email, emails.to_vec()), by(&Identifier::Email, nobody("nobody").iter().map(address).collect())];
    let idle = pairs(identity, &by_email, 1).await?;
    let busy = pin!(load::keep(BUSY_SIGN_INS, Duration::from_secs(600), async |_| crowd.sign_in(true).await));
    let loaded = tokio::select! {
        loaded = pairs(identity, &by_email, BUSY_PAIRS) => loaded?,
        over = busy => anyhow::bail!("sign-ins beside them ended: {over:?}"),
    };
    load::rest().await;
    let by_username = [by(&Identifier::Username, named(identity, emails).await?), by(&Identifier::Username, nobody("nobody"))];
    let usernames = pairs(identity, &by_username, 1).await?;
    let resets =
        [emails.to_vec(), nobody("nobody").iter().map(address).collect()].map(|emails| emails.into_iter().map(Ask::Reset).collect());
    let resets = pairs(identity, &resets, 1).await?;
    let resent = pairs(identity, &[waiting(identity, emails.len()).await?, strangers(emails.len())], 1).await?;
    let row = |name, (auc, took): (f64, Duration), how: &str| {
        figure(name, format!("AUC {auc:.3}"), format!("{PAIRS} pairs, {how}; median {took:.1?}"), "≤ 0.55", auc <= 0.55)
    };
    Ok(vec![
        row("telling an address that is somebody's from another by time, idle", idle, "wrong passwords one after the other"),
        row("telling an address that is somebody's from another by time, loaded", loaded, "four at a time beside four sign-ins"),
        row("the same of a username, idle", usernames, "wrong passwords one after the other"),
        row("the same of an address, by asking for a password reset", resets, "one after the other"),
        row("the same of a registration, by asking for its mail again", resent, "one after the other"),
    ])
}

/// Usernames of those who have `emails`.
async fn named(identity: &Channel, emails: &[String]) -> anyhow::Result<Vec<String>> {
    let mut usernames = Vec::new();
    for (number, email) in emails.iter().enumerate() {
        let (_, _, authorization) = sign_in(identity, email).await?;
        let username = format!("crowd-{number}");
        let request = SetUsernameRequest { username: username.clone() };
        AccountServiceClient::new(identity.clone()).set_username(signed(request, &authorization)?).await?;
        usernames.push(username);
    }
    Ok(usernames)
}

/// Registrations that wait for the proof of their address.
async fn waiting(identity: &Channel, count: usize) -> anyhow::Result<Vec<Ask>> {
    let mut asks = Vec::new();
    for number in 0..count {
        let email = format!("waiting-{number}@muster.example");
        let (password, display_name) = (seed::PASSWORD.to_owned(), "Waiting".to_owned());
        let request = RegisterUserRequest { email: email.clone(), password, display_name, ..Default::default() };
        let answer = AccountServiceClient::new(identity.clone()).register_user(request).await?.into_inner();
        asks.push(Ask::Resend(email, answer.registration_id));
    }
    Ok(asks)
}

/// Registrations that there are none of.
fn strangers(count: usize) -> Vec<Ask> {
    let ids = runtime::Ids::system();
    (0..count).map(|number| Ask::Resend(format!("no-{number}@muster.example"), ids.next().to_string())).collect()
}

/// How well those who are there are told from those who are not, and how long an answer takes.
async fn pairs(identity: &Channel, [known, unknown]: &[Vec<Ask>; 2], at_a_time: usize) -> anyhow::Result<(f64, Duration)> {
    let pair = async |number: usize| {
        let (known, unknown) = (known[number % known.len()].clone(), unknown[number % unknown.len()].clone());
        // Neither is always first.
        if number.is_multiple_of(2) {
            let known = known.takes(identity).await?;
            anyhow::Ok((known, unknown.takes(identity).await?))
        } else {
            let unknown = unknown.takes(identity).await?;
            Ok((known.takes(identity).await?, unknown))
        }
    };
    let times: Vec<(Duration, Duration)> = stream::iter(0..PAIRS).map(&pair).buffer_unordered(at_a_time).try_collect().await?;
    let (mut known, unknown): (Vec<Duration>, Vec<Duration>) = times.into_iter().unzip();
    let auc = auc(&known, &unknown);
    known.sort();
    Ok((auc.max(1.0 - auc), load::percentile(&known, 50)))
}

impl Ask {
    /// How long the answer takes, which is the same whoever it is about.
    async fn takes(self, identity: &Channel) -> anyhow::Result<Duration> {
        let (mut sessions, mut accounts) = (SessionServiceClient::new(identity.clone()), AccountServiceClient::new(identity.clone()));
        let asked = Instant::now();
        let (answer, wanted) = match self {
            Ask::SignIn(identifier) => {
                let (identifier, password) = (Some(identifier), "not the password".to_owned());
                let request = CreateSessionRequest { identifier, password, device_token: String::new() };
                (sessions.create_session(request).await.map(drop), Code::Unauthenticated)
            }
            Ask::Reset(email) => (accounts.request_password_reset(RequestPasswordResetRequest { email }).await.map(drop), Code::Ok),
            Ask::Resend(email, registration_id) => {
                let request = ResendVerificationRequest { email, registration_id };
                (accounts.resend_verification(request).await.map(drop), Code::Ok)
            }
        };
        let took = asked.elapsed();
        let code = answer.map_or_else(|status| status.code(), |()| Code::Ok);
        anyhow::ensure!(code == wanted, "a stranger is answered {code:?}");
        Ok(took)
    }
}

/// How often one of `these` takes longer than one of `those`, ties by half: the area under the ROC curve. Source: Mann and Whitney, 1947.
fn auc(these: &[Duration], those: &[Duration]) -> f64 {
    let longer =
        |this: &Duration| those.iter().map(|that| if this > that { 1.0 } else { f64::from(u8::from(this == that)) / 2.0 }).sum::<f64>();
    these.iter().map(longer).sum::<f64>() / (these.len() * those.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_has_an_area_of_a_half_and_what_is_always_longer_of_one() {
        let times = |from: u64| (from..from + 10).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!([auc(&times(0), &times(0)), auc(&times(20), &times(0)), auc(&times(0), &times(20))], [0.5, 1.0, 0.0]);
    }
}
