//! How soon a session that was ended is refused by everybody who verifies its tokens, each in a process of its own.

use std::time::{Duration, Instant};

use contract::{
    audit::v1::{ListEventsRequest, audit_service_client::AuditServiceClient},
    authorization::v1::{ListRolesRequest, authorization_service_client::AuthorizationServiceClient},
    identity::v1::{
        ListWorkspacesRequest, RevokeSessionRequest, session_service_client::SessionServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    notifications::v1::{GetUnreadCountRequest, inbox_service_client::InboxServiceClient},
    tasks::v1::{ListProductsRequest, product_service_client::ProductServiceClient},
};
use futures::future::try_join_all;
use tonic::{Code, Status, transport::Channel};

use super::{
    actor::{sign_in, signed, switch},
    figures::{Run, figure},
    load,
    report::Figure,
};
use crate::{migrate::SCHEMAS, seed};

/// Sessions that are ended.
const SESSIONS: usize = 100;

impl Run<'_> {
    /// From the answer of RevokeSession to the refusal by the last of the services, which all have the token in their caches.
    pub(super) async fn revoked(&self) -> anyhow::Result<Figure> {
        let identity = self.suite.channel(::identity::NAME)?;
        let mut sessions = SessionServiceClient::new(identity.clone());
        let mut ways = Vec::new();
        for (service, ..) in SCHEMAS {
            ways.push((service, self.suite.channel(service)?));
        }
        let mut times = Vec::new();
        for _ in 0..SESSIONS {
            let (session_id, _, outside) = sign_in(&identity, seed::PEOPLE[0].0).await?;
            let authorization = switch(&identity, &outside, &self.actor.organization_id).await?;
            for (service, channel) in &ways {
                anyhow::ensure!(self.takes(service, channel, &authorization).await?, "{service} refuses a good token");
            }
            sessions.revoke_session(signed(RevokeSessionRequest { session_id }, &authorization)?).await?;
            let answered = Instant::now();
            let refused = ways.iter().map(async |(service, channel)| {
                while self.takes(service, channel, &authorization).await? {
                    anyhow::ensure!(answered.elapsed() < Duration::from_secs(5), "{service} still takes a revoked token after 5 s");
                }
                anyhow::Ok(answered.elapsed())
            });
            times.extend(try_join_all(refused).await?.into_iter().max());
        }
        times.sort();
        let (p50, p99) = (load::percentile(&times, 50), load::percentile(&times, 99));
        let against = format!("{SESSIONS} sessions; each of {} services in a process of its own", ways.len());
        Ok(figure(
            "revoke to refused by every service",
            format!("p50 {p50:.1?}, p99 {p99:.1?}"),
            against,
            "p99 ≤ 50 ms",
            p99 <= Duration::from_millis(50),
        ))
    }

    /// Whether `service` takes the token of `authorization`, by a call that any member may make.
    async fn takes(&self, service: &str, channel: &Channel, authorization: &str) -> anyhow::Result<bool> {
        let (channel, workspace_id, page_size) = (channel.clone(), self.actor.workspace_id.clone(), 1);
        let answer: Result<(), Status> = match service {
            ::identity::NAME => {
                let request = ListWorkspacesRequest { page_size, ..Default::default() };
                WorkspaceServiceClient::new(channel).list_workspaces(signed(request, authorization)?).await.map(drop)
            }
            authorization::NAME => {
                AuthorizationServiceClient::new(channel).list_roles(signed(ListRolesRequest {}, authorization)?).await.map(drop)
            }
            tasks::NAME => {
                let request = ListProductsRequest { workspace_id, page_size, ..Default::default() };
                ProductServiceClient::new(channel).list_products(signed(request, authorization)?).await.map(drop)
            }
            audit::NAME => {
                let request = ListEventsRequest { page_size, ..Default::default() };
                AuditServiceClient::new(channel).list_events(signed(request, authorization)?).await.map(drop)
            }
            notifications::NAME => {
                InboxServiceClient::new(channel).get_unread_count(signed(GetUnreadCountRequest {}, authorization)?).await.map(drop)
            }
            other => anyhow::bail!("nobody knows what to ask of {other}"),
        };
        match answer {
            Ok(()) => Ok(true),
            Err(status) if status.code() == Code::Unauthenticated => Ok(false),
            Err(status) => Err(status.into()),
        }
    }
}
