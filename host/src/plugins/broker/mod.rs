//! The one place where policy is made for what plugins send: below all versions of the contract and all adapters.
//!
//! A request passes if the manifest asks for it, the operator grants it and the connection has it. The name is resolved
//! and the checked address dialled; redirects are authorised like requests; the credential is put in last, only towards
//! the connection's own origin; and what comes back is searched for secrets before the guest gets it.

mod client;
mod connection;
mod fetch;
mod headers;
mod inject;
mod jwt;
mod mail;
mod mint;
mod path;
mod policy;
mod refusal;
mod scrub;
mod session;
mod stand_in;
mod tokens;

use std::sync::Arc;

pub use connection::{Connection, Rotated, Rotation, Secret};
pub(super) use inject::Injection;
pub(super) use mail::Mail;
pub(super) use policy::{MAIL, check_pattern};
pub use refusal::{Refusal, RefusalKind};
pub use scrub::forms_of_secrets;
pub(super) use session::{Request, Response, Session};

use client::{Answer, Client, Outgoing};
use tokens::Tokens;

use crate::domain::plugin::{CredentialSlot, Manifest, Permission};
use crate::network::{Network, Policy};

/// What all calls share: the way out, and what was minted.
#[derive(Clone)]
pub(super) struct Broker {
    client: Arc<Client>,
    tokens: Arc<Tokens>,
}

/// What one plugin may do on one connection.
#[derive(Clone)]
pub(super) struct Outbound {
    pub(super) connection: Arc<Connection>,
    permissions: Arc<[Permission]>,
    slots: Arc<[CredentialSlot]>,
}

impl Outbound {
    pub(super) fn new(connection: Arc<Connection>, manifest: &Manifest) -> Self {
        Self {
            connection,
            permissions: manifest.permissions.as_slice().into(),
            slots: manifest.credentials.as_slice().into(),
        }
    }
}

impl Broker {
    pub(super) fn new(network: Arc<dyn Network>) -> Self {
        Self { client: Arc::new(Client::new(network)), tokens: Arc::new(Tokens::default()) }
    }

    /// A request of the server itself; see [`fetch`].
    pub(super) async fn fetch(
        &self,
        request: http::Request<Vec<u8>>,
        policy: Policy,
        trusted: Option<&str>,
    ) -> Result<http::Response<Vec<u8>>, Refusal> {
        fetch::fetch(&self.client, request, policy, trusted).await
    }

    /// One exchange with the connection's own origin, or with an extra one.
    async fn exchange(
        &self,
        connection: &Connection,
        audience: policy::Audience,
        outgoing: Outgoing,
    ) -> Result<Answer, Refusal> {
        let is_own = audience == policy::Audience::Own;
        let policy = if is_own { connection.policy() } else { Policy::internet() };
        let trusted = connection.trusted().filter(|_| is_own);
        self.client.exchange(outgoing, policy, trusted).await
    }

    /// A mail to the connection's own server.
    async fn mail(
        &self,
        connection: &Connection,
        mail: &Mail,
        login: Option<&Secret>,
    ) -> Result<(), Refusal> {
        let stream = self.client.connect(connection.origin(), connection.policy()).await?;
        mail::send(stream, &self.client, connection, mail, login).await
    }
}
