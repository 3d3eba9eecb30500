//! What commands share that are clients of a running suite: where it answers, who calls, what a name means, how a refusal reads.
//!
//! They go through the gateway with a person's token, as any client does. Deliberately absent: operators' commands (`events`), which call the
//! services' admin ports with a key.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use contract::{
    identity::v1::{
        ListOrganizationsRequest, ListWorkspacesRequest, Organization, SwitchContextRequest, Workspace,
        organization_service_client::OrganizationServiceClient, session_service_client::SessionServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{ListProductsRequest, Product, product_service_client::ProductServiceClient},
};
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};
use runtime::Backoff;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// How long the suite may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest page there is.
const PAGE: i32 = 1_000;

/// Which suite is called.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Where the suite answers: the address of its gateway.
    #[arg(long, env = "MUSTER_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
}

/// Who calls a suite.
#[derive(Debug, Clone, Args)]
pub(crate) struct Credentials {
    /// An access token, as `muster token` prints it.
    #[arg(long, env = "MUSTER_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// A suite and a person's token for it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Channel,
    token: String,
}

impl Target {
    /// A way to the suite.
    ///
    /// # Errors
    /// The address is none, or nobody answers there.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        let authority = self.url.strip_prefix("http://").unwrap_or_default();
        let endpoint = Endpoint::from_shared(self.url.clone()).ok().filter(|_| !authority.is_empty());
        let endpoint = endpoint.with_context(|| format!("`{}` is no address of a suite, such as http://127.0.0.1:8080", self.url))?;
        let endpoint = endpoint.tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT);
        endpoint.connect().await.with_context(|| format!("nobody answers at {}; `muster up` serves there", self.url))
    }
}

impl Credentials {
    /// The token.
    ///
    /// # Errors
    /// None was given.
    pub(crate) fn token(self) -> anyhow::Result<String> {
        self.token.filter(|token| !token.is_empty()).context("no token: set MUSTER_TOKEN to what `muster token` prints, or give --token")
    }
}

impl Client {
    /// Calls over `channel` with `token`; with an empty one, as nobody.
    pub(crate) fn new(channel: Channel, token: String) -> Client {
        Client { channel, token }
    }

    /// The way to the suite.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// `message` with the credentials.
    ///
    /// # Errors
    /// The token is no header's value.
    pub(crate) fn request<M>(&self, message: M) -> anyhow::Result<Request<M>> {
        if self.token.is_empty() { Ok(Request::new(message)) } else { signed(message, &format!("Bearer {}", self.token)) }
    }

    /// The same session in an organization, and narrowed to a workspace of it unless that is empty.
    ///
    /// # Errors
    /// `ORGANIZATION_NOT_FOUND`, `WORKSPACE_NOT_FOUND`.
    pub(crate) async fn enter(&self, organization_id: &str, workspace_id: &str) -> anyhow::Result<Client> {
        let request = SwitchContextRequest { organization_id: organization_id.to_owned(), workspace_id: workspace_id.to_owned() };
        let answer = SessionServiceClient::new(self.channel()).switch_context(self.request(request)?).await.map_err(refused)?;
        Ok(Client::new(self.channel(), answer.into_inner().access_token))
    }

    /// The caller's organization with this id or slug.
    ///
    /// # Errors
    /// There is none, or the list is refused.
    pub(crate) async fn organization(&self, name: &str) -> anyhow::Result<Organization> {
        self.find_organization(name).await?.with_context(|| format!("you are a member of no organization {name}"))
    }

    /// The workspace of the token's organization with this id or slug.
    ///
    /// # Errors
    /// There is none, or the list is refused.
    pub(crate) async fn workspace(&self, name: &str) -> anyhow::Result<Workspace> {
        let missing = || format!("the organization has no workspace {name}, or you don't reach it");
        self.find_workspace(name).await?.with_context(missing)
    }

    /// The product of a workspace with this id or key.
    ///
    /// # Errors
    /// There is none, or the list is refused.
    pub(crate) async fn product(&self, workspace_id: &str, name: &str) -> anyhow::Result<Product> {
        self.find_product(workspace_id, name).await?.with_context(|| format!("the workspace has no product {name}"))
    }

    /// As [`organization`](Client::organization); `None` when there is none.
    ///
    /// # Errors
    /// The list is refused.
    pub(crate) async fn find_organization(&self, name: &str) -> anyhow::Result<Option<Organization>> {
        let mut client = OrganizationServiceClient::new(self.channel());
        let list = async |page_token| {
            let request = self.request(ListOrganizationsRequest { page_size: PAGE, page_token })?;
            let page = client.list_organizations(request).await.map_err(refused)?.into_inner();
            Ok((page.organizations, page.next_page_token))
        };
        find(list, |one| one.organization_id == name || one.slug == name).await
    }

    /// As [`workspace`](Client::workspace); `None` when there is none.
    ///
    /// # Errors
    /// The list is refused.
    pub(crate) async fn find_workspace(&self, name: &str) -> anyhow::Result<Option<Workspace>> {
        let mut client = WorkspaceServiceClient::new(self.channel());
        let list = async |page_token| {
            let request = self.request(ListWorkspacesRequest { page_size: PAGE, page_token })?;
            let page = client.list_workspaces(request).await.map_err(refused)?.into_inner();
            Ok((page.workspaces, page.next_page_token))
        };
        find(list, |one| one.workspace_id == name || one.slug == name).await
    }

    /// As [`product`](Client::product); `None` when there is none.
    ///
    /// # Errors
    /// The list is refused.
    pub(crate) async fn find_product(&self, workspace_id: &str, name: &str) -> anyhow::Result<Option<Product>> {
        let mut client = ProductServiceClient::new(self.channel());
        let list = async |page_token| {
            let request = ListProductsRequest { workspace_id: workspace_id.to_owned(), page_size: PAGE, page_token };
            let page = client.list_products(self.request(request)?).await.map_err(refused)?.into_inner();
            Ok((page.products, page.next_page_token))
        };
        find(list, |one| one.product_id == name || one.key == name).await
    }
}

/// The first of all pages of `list` that `is` says yes to. A page is what it holds, and the token of the next one.
async fn find<T>(
    mut list: impl AsyncFnMut(String) -> anyhow::Result<(Vec<T>, String)>,
    is: impl Fn(&T) -> bool,
) -> anyhow::Result<Option<T>> {
    let mut page_token = String::new();
    loop {
        let (page, next) = list(page_token).await?;
        let found = page.into_iter().find(&is);
        if found.is_some() || next.is_empty() {
            return Ok(found);
        }
        page_token = next;
    }
}

/// How long what one service does may take to be seen in another before it counts as not done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls until the answer passes `wanted`, as long as what happened elsewhere may take to be heard here. What is not seen or not allowed yet is
/// waited for; any other refusal ends it.
///
/// # Errors
/// The refusal; the answer that did not come.
pub(crate) async fn eventually<T, W>(
    mut call: impl AsyncFnMut() -> anyhow::Result<Result<T, Status>>,
    mut wanted: impl FnMut(T) -> Option<W>,
) -> anyhow::Result<W> {
    let began = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
    loop {
        let last = match call().await? {
            Ok(answer) => match wanted(answer) {
                Some(wanted) => return Ok(wanted),
                None => anyhow::anyhow!("what was expected is not there"),
            },
            Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => refused(status),
            Err(status) => return Err(refused(status)),
        };
        anyhow::ensure!(began.elapsed() < PATIENCE, "{last}, {} s later", PATIENCE.as_secs());
        backoff.wait().await;
    }
}

/// `message` with the header `authorization`.
///
/// # Errors
/// `authorization` is no header's value.
pub(crate) fn signed<M>(message: M, authorization: &str) -> anyhow::Result<Request<M>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", authorization.parse().context("the token is none")?);
    Ok(request)
}

/// A refusal as a person reads it: the reason, what the service says, the fields, and when to try again.
pub(crate) fn refused(status: Status) -> anyhow::Error {
    let details = status.get_error_details();
    let reason = details.error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason.clone());
    let mut text = format!("{reason}: {}", status.message());
    for violation in details.bad_request().into_iter().flat_map(|bad| &bad.field_violations) {
        let said_already = violation.description == status.message();
        text.push_str(&if said_already {
            format!(" ({})", violation.field)
        } else {
            format!("; {}: {}", violation.field, violation.description)
        });
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        text.push_str(&format!("; try again in {:.1} s", delay.as_secs_f64()));
    }
    anyhow::Error::msg(text)
}

/// A message of the contract as ProtoJSON.
///
/// # Errors
/// It is none of the contract's.
pub(crate) fn json<M: Message + Name>(message: &M) -> anyhow::Result<serde_json::Value> {
    let pool = DescriptorPool::decode(contract::DESCRIPTORS)?;
    let descriptor = pool.get_message_by_name(&M::full_name()).with_context(|| format!("this build knows no {}", M::full_name()))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    Ok(serde_json::to_value(&message)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_refusal_reads_as_reason_message_and_fields() {
        let mut details = ErrorDetails::with_error_info("FIELD_VIOLATION", "muster", std::collections::HashMap::new());
        details.add_bad_request_violation("slug", "must be a slug");
        let status = Status::with_error_details(tonic::Code::InvalidArgument, "a field breaks its rule", details);
        assert_eq!(refused(status).to_string(), "FIELD_VIOLATION: a field breaks its rule; slug: must be a slug");
        assert_eq!(refused(Status::unavailable("away")).to_string(), "Unavailable: away");
    }

    #[test]
    fn a_refusal_says_nothing_twice() {
        let mut details = ErrorDetails::with_error_info("PLAN_EMPTY", "muster", std::collections::HashMap::new());
        details.add_bad_request_violation("markdown", "the plan has no item");
        let status = Status::with_error_details(tonic::Code::InvalidArgument, "the plan has no item", details);
        assert_eq!(refused(status).to_string(), "PLAN_EMPTY: the plan has no item (markdown)");
    }

    #[tokio::test]
    async fn what_is_no_address_of_a_suite_is_said_to_be_none() {
        for url in ["", "muster", "https://muster.example", "http://", "http://a b"] {
            let refused = Target { url: url.to_owned() }.channel().await.unwrap_err();
            assert!(refused.to_string().contains("is no address of a suite"), "{url}: {refused}");
        }
    }

    #[tokio::test]
    async fn what_is_looked_for_is_found_on_any_page() {
        let list = async |token: String| anyhow::Ok(if token.is_empty() { (vec![1, 2], "next".into()) } else { (vec![3], String::new()) });
        assert_eq!(find(list, |one| *one == 3).await.unwrap(), Some(3));
        assert_eq!(find(list, |one| *one == 4).await.unwrap(), None);
    }

    #[test]
    fn a_message_is_shown_as_proto_json() {
        let shown = json(&ListWorkspacesRequest { page_size: 3, page_token: String::new() }).unwrap();
        assert_eq!(shown, serde_json::json!({ "pageSize": 3 }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_yet_is_waited_for_and_other_refusals_are_not() {
        let mut tries = 0;
        let call = async || {
            tries += 1;
            anyhow::Ok(if tries < 3 { Err(Status::not_found("not yet")) } else { Ok(tries) })
        };
        assert_eq!(eventually(call, Some).await.unwrap(), 3);
        let away = eventually(async || anyhow::Ok(Err::<(), _>(Status::unavailable("away"))), Some).await;
        assert_eq!(away.unwrap_err().to_string(), "Unavailable: away");
    }
}
