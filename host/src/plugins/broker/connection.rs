//! Where a call may send its requests, and with which secrets. The caller of an adapter hands one in for each call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use url::Url;
use windlass_sdk::testkit::Trial;
use zeroize::Zeroizing;

use super::path::Origin;
use crate::domain::cicd::RateBudget;
use crate::error::{Error, Result};
use crate::network::Policy;

/// A shorter secret could not be told from ordinary text where the other side repeats it.
const SHORTEST: usize = 8;

/// Told when the other side replaced a refresh token, and waited for: nobody uses the new one before it is stored. The answer
/// is whether it was, which it is not where the connection has another secret by then.
pub type Rotated = Arc<dyn Fn(Rotation) -> BoxFuture<'static, Result<bool>> + Send + Sync>;

/// A refresh token that another one took the place of.
#[derive(Debug, Clone)]
pub struct Rotation {
    pub slot: String,
    /// What is stored, as far as is known.
    pub stored: Secret,
    pub fresh: Secret,
}

/// Told how many requests the other side still takes, whenever it says so.
pub type Heard = Arc<dyn Fn(RateBudget) + Send + Sync>;

/// A secret. It has no text form, and its bytes are wiped when the last copy goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes.into())))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The other side of a call: one base URL, what the operator grants towards it, and the secrets for the plugin's slots.
#[derive(Clone)]
pub struct Connection {
    id: String,
    origin: Origin,
    /// Starts with `/` unless it is empty; never ends with one.
    base_path: String,
    /// A mail server instead of one that speaks HTTP.
    is_mail: bool,
    private_network: bool,
    /// Instead of what `private_network` says.
    policy: Option<Policy>,
    grant: Vec<String>,
    certificates: Option<String>,
    secrets: BTreeMap<String, Secret>,
    variables: BTreeMap<String, String>,
    placeholders: Vec<(String, Secret)>,
    rotated: Option<Rotated>,
    heard: Option<Heard>,
    trial: Option<Trial>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection {} to {}{}", self.id, self.origin, self.base_path)
    }
}

impl Connection {
    /// A connection with the grant `http:self`: what the manifest asks for, towards the base URL only. `id` tells
    /// connections apart that have the same base URL.
    ///
    /// # Errors
    /// `Invalid` if the base URL is not `http`, `https`, `smtp` or `smtps`, or has user information, a query or a fragment.
    pub fn new(id: impl Into<String>, base_url: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::invalid("base_url", format!("The base URL {why}. Example: https://ci.example.org/path"))
        };
        let (is_mail, url) = match mail_server(base_url) {
            Some(url) => (true, url),
            None => (false, Url::parse(base_url)),
        };
        let url = url.map_err(|error| invalid(&format!("cannot be read ({error})")))?;
        let origin = if is_mail { mail_origin(base_url, &url) } else { Origin::of(&url) };
        let origin = origin.ok_or_else(|| invalid("has to begin with https:// or http:// and a host"))?;
        if is_mail && !matches!(url.path(), "" | "/") {
            return Err(invalid("of a mail server must not have a path"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("must not contain a user or a password; they belong into a credential"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("must not have a query or a fragment"));
        }
        let private_network = origin.is_literally_private();
        Ok(Self {
            id: id.into(),
            base_path: url.path().trim_end_matches('/').to_owned(),
            origin,
            is_mail,
            private_network,
            policy: None,
            grant: vec!["http:self".to_owned()],
            certificates: None,
            secrets: BTreeMap::new(),
            variables: BTreeMap::new(),
            placeholders: Vec::new(),
            rotated: None,
            heard: None,
            trial: None,
        })
    }

    /// The operator says that the base URL's name leads into a private network. Without this a name that turns private
    /// is refused; an address or `localhost` in the base URL itself says it as well.
    #[must_use]
    pub fn on_private_network(mut self) -> Self {
        self.private_network = true;
        self
    }

    /// Whatever the base URL says, it may not lead into a private network: who wrote it has no say in that.
    #[must_use]
    pub fn on_public_network(mut self) -> Self {
        self.private_network = false;
        self
    }

    /// The base URL may lead wherever this policy lets it, and nowhere else: for one that a person of a team has written.
    #[must_use]
    pub fn within(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// What the operator grants: `http:self` for what the manifest asks for towards the base URL, and
    /// `http:https://host[:port]` for an extra origin that the manifest asks for, written as there.
    #[must_use]
    pub fn grant(mut self, grant: &[&str]) -> Self {
        self.grant = grant.iter().map(|&entry| entry.to_owned()).collect();
        self
    }

    /// Certificates in PEM that are trusted beside the system's, for the base URL's own origin.
    #[must_use]
    pub fn certificates(mut self, pem: impl Into<String>) -> Self {
        self.certificates = Some(pem.into());
        self
    }

    /// The secret for a slot.
    ///
    /// # Errors
    /// `Invalid` if it is shorter than 8 bytes: where the other side repeats it, it could not be recognised.
    pub fn secret(mut self, slot: &str, secret: Secret) -> Result<Self> {
        if secret.expose().len() < SHORTEST {
            return Err(Error::invalid(
                slot,
                format!(
                    "The secret `{slot}` is shorter than {SHORTEST} bytes, too short to be kept from plugins where the \
                     other side repeats it. Please use a longer one."
                ),
            ));
        }
        self.secrets.insert(slot.to_owned(), secret);
        Ok(self)
    }

    /// A value for `{name}` in the recipe of a minted credential. Not secret.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// A text that stands for a secret in the bodies of this call's requests. It is replaced on the way out, towards the
    /// base URL's own origin only.
    pub(in crate::plugins) fn placeholder(mut self, text: &str, secret: Secret) -> Self {
        self.placeholders.push((text.to_owned(), secret));
        self
    }

    /// Who stores a refresh token that the other side replaced.
    #[must_use]
    pub fn on_rotated(mut self, rotated: Rotated) -> Self {
        self.rotated = Some(rotated);
        self
    }

    /// Who wants to know how many requests the other side still takes.
    #[must_use]
    pub fn on_budget(mut self, heard: Heard) -> Self {
        self.heard = Some(heard);
        self
    }

    /// The other side is that of a trial: no request ever leaves this machine, and no credential is put into one.
    #[must_use]
    pub(in crate::plugins) fn in_trial(mut self, trial: Trial) -> Self {
        self.trial = Some(trial);
        self
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// As the operator wrote it, without a slash at its end.
    pub(in crate::plugins) fn base_url(&self) -> String {
        if self.is_mail {
            let scheme = if self.origin.is_tls { "smtps" } else { "smtp" };
            return format!("{scheme}://{}:{}", self.origin.host, self.origin.port);
        }
        format!("{}{}", self.origin, self.base_path)
    }

    /// Whether it is a mail server.
    pub(in crate::plugins) fn is_mail(&self) -> bool {
        self.is_mail
    }

    pub(super) fn placeholders(&self) -> &[(String, Secret)] {
        &self.placeholders
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn base_path(&self) -> &str {
        &self.base_path
    }

    pub(super) fn is_on_private_network(&self) -> bool {
        self.private_network
    }

    /// Where the base URL may lead.
    pub(super) fn policy(&self) -> Policy {
        match (&self.policy, self.private_network) {
            (Some(policy), _) => policy.clone(),
            (None, true) => Policy::anywhere(),
            (None, false) => Policy::internet(),
        }
    }

    pub(super) fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    pub(super) fn grants(&self, entry: &str) -> bool {
        self.grant.iter().any(|granted| granted == entry)
    }

    pub(super) fn trusted(&self) -> Option<&str> {
        self.certificates.as_deref()
    }

    pub(super) fn secret_of(&self, slot: &str) -> Option<&Secret> {
        self.secrets.get(slot)
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.values().chain(self.placeholders.iter().map(|(_, secret)| secret))
    }

    pub(super) fn value(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(String::as_str)
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&String, &String)> {
        self.variables.iter()
    }

    /// The headers of an answer of the connection's own origin.
    pub(super) fn tell_budget(&self, headers: &HeaderMap) {
        let Some(heard) = &self.heard else { return };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(budget) = RateBudget::read(header, chrono::Utc::now().timestamp_millis()) {
            heard(budget);
        }
    }

    /// Whether somebody has stored it.
    pub(super) async fn tell_rotated(&self, rotation: Rotation) -> Result<bool> {
        match &self.rotated {
            Some(rotated) => rotated(rotation).await,
            None => Ok(false),
        }
    }
}

/// The URL of a mail server as one of the schemes whose hosts are read in one way only (WHATWG, "special"), of which `ftp` has
/// no default port that a mail server would have; `None` if it is none.
fn mail_server(base_url: &str) -> Option<Result<Url, url::ParseError>> {
    let rest = base_url.strip_prefix("smtps://").or_else(|| base_url.strip_prefix("smtp://"))?;
    Some(Url::parse(&format!("ftp://{rest}")))
}

/// RFC 8314: 465 with TLS from the first byte on, 587 with STARTTLS.
fn mail_origin(base_url: &str, url: &Url) -> Option<Origin> {
    let is_tls = base_url.starts_with("smtps://");
    let port = url.port().unwrap_or(if is_tls { 465 } else { 587 });
    Some(Origin { is_tls, host: url.host_str()?.to_ascii_lowercase(), port })
}
