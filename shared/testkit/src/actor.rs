//! Those who call a service under test: users with tokens, nobody, and other services.

use std::sync::Arc;

use rpc::authn::PeerKeys;
use runtime::{Clock, OrganizationId, SessionId, UserId, WorkspaceId};

use crate::{Authority, Channel, Claims, Replica, wire::Wire};

/// A user with an access token, or nobody at all.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What the test calls them.
    pub name: String,
    /// Who they are.
    pub user_id: UserId,
    /// The session of the token.
    pub session_id: SessionId,
    /// The organization of the token.
    pub organization_id: OrganizationId,
    /// The workspace they work in. The token is narrowed to it only after [`Actor::in_workspace`].
    pub workspace_id: WorkspaceId,
    /// The access token; empty for nobody.
    pub token: String,
    pub(crate) way: Way,
}

/// How an actor reaches the service, and who mints its tokens.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) wire: Wire,
    pub(crate) authority: Arc<Authority>,
    pub(crate) clock: Clock,
}

impl Actor {
    /// A channel with this actor's credentials, for generated clients: `WorkItemServiceClient::new(ana.channel())`.
    pub fn channel(&self) -> Channel {
        Channel::direct(self.way.wire.clone()).bearer(&self.token)
    }

    /// The same actor with a token narrowed to `workspace`.
    #[must_use]
    pub fn in_workspace(&self, workspace: WorkspaceId) -> Actor {
        Actor { workspace_id: workspace, ..self.clone() }.minted(Some(workspace))
    }

    /// The same actor with a token for `organization`: what SwitchContext gives.
    #[must_use]
    pub fn in_organization(&self, organization: OrganizationId) -> Actor {
        Actor { organization_id: organization, ..self.clone() }.minted(None)
    }

    /// The same actor with a token that lives anew from now.
    #[must_use]
    pub fn renewed(&self) -> Actor {
        self.clone().minted(None)
    }

    /// The same actor with this text as a token, whatever it is.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Actor {
        Actor { token: token.to_owned(), ..self.clone() }
    }

    /// The same actor, who calls this replica.
    #[must_use]
    pub fn at(&self, replica: &Replica) -> Actor {
        Actor { way: Way { wire: replica.wire.clone(), ..self.way.clone() }, ..self.clone() }
    }

    /// The claims that this actor's tokens have, minted now: change them and sign them with `app.authority().signer()`.
    pub fn claims(&self) -> Claims {
        Claims::of(self.user_id, self.session_id, self.organization_id, None, self.way.clock.now())
    }

    pub(crate) fn minted(self, workspace: Option<WorkspaceId>) -> Actor {
        let ws = workspace.map(|workspace| workspace.to_string());
        let token = self.way.authority.signer().sign(&Claims { ws, ..self.claims() });
        Actor { token, ..self }
    }
}

/// Another service of the suite.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(crate) keys: PeerKeys,
    pub(crate) target: &'static str,
    pub(crate) wire: Wire,
}

impl Peer {
    /// A channel that signs `muster-peer` and calls on the service's own behalf.
    pub fn channel(&self) -> Channel {
        Channel::peer(self.wire.peer(self.target, &self.keys))
    }

    /// A channel that signs `muster-peer` and passes on the call of `actor`.
    pub fn on_behalf_of(&self, actor: &Actor) -> Channel {
        self.channel().bearer(&actor.token)
    }
}
