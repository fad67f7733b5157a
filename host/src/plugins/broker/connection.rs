//! Where a call may send its requests, and with which secrets. The caller of an adapter hands one in for each call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use url::Url;
use zeroize::Zeroizing;

use super::path::Origin;
use crate::error::{Error, Result};

/// A shorter secret could not be told from ordinary text where the other side repeats it.
const SHORTEST: usize = 8;

/// Told when the other side replaced a refresh token, with the slot's name and the new secret, so that it can be stored.
pub type Rotated = Arc<dyn Fn(&str, &Secret) + Send + Sync>;

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
    private_network: bool,
    grant: Vec<String>,
    certificates: Option<String>,
    secrets: BTreeMap<String, Secret>,
    variables: BTreeMap<String, String>,
    placeholders: Vec<(String, Secret)>,
    rotated: Option<Rotated>,
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
    /// `Invalid` if the base URL is not `http` or `https`, or has user information, a query or a fragment.
    pub fn new(id: impl Into<String>, base_url: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::invalid("base_url", format!("The base URL {why}. Example: https://ci.example.org/path"))
        };
        let url = Url::parse(base_url).map_err(|error| invalid(&format!("cannot be read ({error})")))?;
        let origin =
            Origin::of(&url).ok_or_else(|| invalid("has to begin with https:// or http:// and a host"))?;
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
            private_network,
            grant: vec!["http:self".to_owned()],
            certificates: None,
            secrets: BTreeMap::new(),
            variables: BTreeMap::new(),
            placeholders: Vec::new(),
            rotated: None,
        })
    }

    /// The operator says that the base URL's name leads into a private network. Without this a name that turns private
    /// is refused; an address or `localhost` in the base URL itself says it as well.
    #[must_use]
    pub fn on_private_network(mut self) -> Self {
        self.private_network = true;
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

    pub fn id(&self) -> &str {
        &self.id
    }

    /// As the operator wrote it, without a slash at its end.
    pub(in crate::plugins) fn base_url(&self) -> String {
        format!("{}{}", self.origin, self.base_path)
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

    pub(super) fn tell_rotated(&self, slot: &str, secret: &Secret) {
        if let Some(rotated) = &self.rotated {
            rotated(slot, secret);
        }
    }
}
