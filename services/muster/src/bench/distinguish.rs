//! Whether a stranger can tell by the time of the answer that an address is somebody's.
//!
//! Pairs of sign-ins with a wrong password, one for an address that somebody proved and one for an address that is nobody's, in turns. The area
//! under the ROC curve of the best guess by time is 0.5 when the two are alike, and 1 when one look is enough; of so many pairs it is within 0.04
//! of the truth nineteen times in twenty.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use contract::identity::v1::{CreateSessionRequest, create_session_request::Identifier, session_service_client::SessionServiceClient};
use futures::stream::{self, StreamExt, TryStreamExt};
use tonic::{Code, transport::Channel};

use super::{figures::figure, load, report::Figure, sign_in::Crowd};

/// Pairs of a comparison; and how many of them there are at a time where identity is busy.
const PAIRS: usize = 400;
const BUSY_PAIRS: usize = 4;
/// Who signs in beside them where identity is busy.
const BUSY_SIGN_INS: usize = 4;

/// Idle and loaded, of the people of `crowd`, who have `emails`.
pub(super) async fn figures(identity: &Channel, crowd: &Crowd<'_>, emails: &[String]) -> anyhow::Result<Vec<Figure>> {
    let idle = pairs(identity, emails, 1).await?;
    let busy = pin!(load::keep(BUSY_SIGN_INS, Duration::from_secs(600), async |_| crowd.sign_in(true).await));
    let loaded = tokio::select! {
        loaded = pairs(identity, emails, BUSY_PAIRS) => loaded?,
        over = busy => anyhow::bail!("sign-ins beside them ended: {over:?}"),
    };
    let row = |name, (auc, took): (f64, Duration), how: &str| {
        let against = format!("{PAIRS} pairs of wrong passwords, {how}; median {took:.1?}");
        figure(name, format!("AUC {auc:.3}"), against, "≤ 0.55", auc <= 0.55)
    };
    Ok(vec![
        row("telling an address that is somebody's from another by time, idle", idle, "one after the other"),
        row("telling an address that is somebody's from another by time, loaded", loaded, "four at a time beside four sign-ins"),
    ])
}

/// How well a known address is told from an unknown one, and how long an answer takes.
async fn pairs(identity: &Channel, emails: &[String], at_a_time: usize) -> anyhow::Result<(f64, Duration)> {
    let pair = async |number: usize| {
        let known = emails[number % emails.len()].clone();
        // As often as the known one.
        let unknown = format!("nobody-{}@muster.example", number % emails.len());
        // Neither is always first.
        if number.is_multiple_of(2) {
            let known = refused(identity, known).await?;
            anyhow::Ok((known, refused(identity, unknown).await?))
        } else {
            let unknown = refused(identity, unknown).await?;
            Ok((refused(identity, known).await?, unknown))
        }
    };
    let times: Vec<(Duration, Duration)> = stream::iter(0..PAIRS).map(&pair).buffer_unordered(at_a_time).try_collect().await?;
    let (mut known, unknown): (Vec<Duration>, Vec<Duration>) = times.into_iter().unzip();
    let auc = auc(&known, &unknown);
    known.sort();
    Ok((auc.max(1.0 - auc), load::percentile(&known, 50)))
}

/// How long a wrong password takes.
async fn refused(identity: &Channel, email: String) -> anyhow::Result<Duration> {
    let identifier = Some(Identifier::Email(email));
    let request = CreateSessionRequest { identifier, password: "not the password".into(), device_token: String::new() };
    let asked = Instant::now();
    let answer = SessionServiceClient::new(identity.clone()).create_session(request).await;
    let took = asked.elapsed();
    let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
    anyhow::ensure!(code == Code::Unauthenticated, "a wrong password is answered {code:?}");
    Ok(took)
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
