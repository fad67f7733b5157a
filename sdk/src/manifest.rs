//! Constructors of [`Manifest`] and its parts.

use crate::{CredentialSlot, Manifest, Permission, WebhookContract, WebhookScheme};

impl Manifest {
    /// The manifest of a plugin without settings, credentials and webhooks. `kinds` is filled in by the export macro.
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            kinds: Vec::new(),
            settings_schema: "{}".to_owned(),
            credentials: Vec::new(),
            permissions: Vec::new(),
            webhooks: None,
            extras: Vec::new(),
        }
    }

    /// JSON Schema 2020-12 of the settings or parameters; see [`crate::params::schema`].
    #[must_use]
    pub fn settings_schema(mut self, schema: impl Into<String>) -> Self {
        self.settings_schema = schema.into();
        self
    }

    /// A place for a secret, with how the host injects it: `bearer`, `basic`, `header:<name>`, `query:<name>`,
    /// `form:<name>`, or one that the host mints from the secret; see [`Self::minted_credential`].
    #[must_use]
    pub fn credential(mut self, name: &str, summary: &str, injection: &str, required: bool) -> Self {
        self.credentials.push(CredentialSlot {
            name: name.to_owned(),
            summary: summary.to_owned(),
            injection: injection.to_owned(),
            required,
            extras: Vec::new(),
        });
        self
    }

    /// A place for a secret from which the host mints what it injects: `app-jwt`, `oauth2` or `crumb`. The recipe's
    /// names (`mint-path`, …) are in `wit/plugin.wit`.
    #[must_use]
    pub fn minted_credential(
        mut self,
        name: &str,
        summary: &str,
        injection: &str,
        required: bool,
        recipe: &[(&str, &str)],
    ) -> Self {
        self = self.credential(name, summary, injection, required);
        if let Some(slot) = self.credentials.last_mut() {
            slot.extras = recipe.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        }
        self
    }

    /// A request that the plugin wants to be allowed to send.
    #[must_use]
    pub fn permission(mut self, methods: &[&str], path: &str, reason: &str) -> Self {
        self.permissions.push(Permission {
            methods: owned(methods),
            path: path.to_owned(),
            reason: reason.to_owned(),
            extras: Vec::new(),
        });
        self
    }

    /// How deliveries of this vendor look from outside.
    #[must_use]
    pub fn webhooks(mut self, contract: WebhookContract) -> Self {
        self.webhooks = Some(contract);
        self
    }

    /// Adds a name and a value to `extras`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.extras.push((name.to_owned(), value.into()));
        self
    }

    #[doc(hidden)]
    pub fn and_of_kind(mut self, kind: &str) -> Self {
        self.kinds.push(kind.to_owned());
        self
    }

    pub(crate) fn of_kind(mut self, kind: &str) -> Self {
        self.kinds = vec![kind.to_owned()];
        self
    }
}

impl WebhookContract {
    /// Schemes in order of strength, the headers that may carry the delivery's id, and those with the event's name.
    pub fn new(schemes: Vec<WebhookScheme>, delivery_headers: &[&str], event_headers: &[&str]) -> Self {
        Self { schemes, delivery_headers: owned(delivery_headers), event_headers: owned(event_headers) }
    }
}

impl WebhookScheme {
    /// The header carries HMAC-SHA256 of the raw body in hexadecimal, after `prefix`.
    pub fn hmac_sha256_hex(header: &str, prefix: &str) -> Self {
        Self::of("hmac-sha256", header, prefix, "hex", "{body}")
    }

    /// Standard Webhooks: HMAC-SHA256 over id, time and body, with a secret that reads `whsec_…`; deliveries of more than
    /// five minutes ago are refused.
    pub fn standard_webhooks() -> Self {
        let signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}";
        let mut scheme = Self::of("hmac-sha256", "webhook-signature", "v1,", "base64", signed);
        scheme.name = "standard-webhooks".to_owned();
        scheme
            .with("separator", " ")
            .with("timestamp-header", "webhook-timestamp")
            .with("secret-prefix", "whsec_")
    }

    /// Adds a name and a value to `extras`; `wit/plugin.wit` lists the known ones.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.extras.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The header carries the secret itself, after `prefix`.
    pub fn shared_token(header: &str, prefix: &str) -> Self {
        Self::of("shared-token", header, prefix, "plain", "")
    }

    fn of(algorithm: &str, header: &str, prefix: &str, encoding: &str, signed: &str) -> Self {
        Self {
            name: algorithm.to_owned(),
            algorithm: algorithm.to_owned(),
            header: header.to_owned(),
            prefix: prefix.to_owned(),
            encoding: encoding.to_owned(),
            signed: signed.to_owned(),
            extras: Vec::new(),
        }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
