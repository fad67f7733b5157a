//! The schemes, each with a secret and a way to sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;
use windlass::domain::plugin::{TimestampRule, WebhookContract, WebhookScheme};
use windlass::plugins::{Plugins, Settings};

/// What a header of the scheme looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The hash in hexadecimal; true if there may be several, after commas.
    Hex { several: bool },
    /// The secret itself.
    Token,
    /// Standard Webhooks: hash in base64 over id, time and body.
    Standard,
}

pub struct Scheme {
    pub name: &'static str,
    pub contract: WebhookContract,
    pub header: &'static str,
    pub prefix: &'static str,
    pub form: Form,
}

/// When Standard Webhooks are signed, in Unix seconds.
pub const SIGNED_AT: i64 = 1_731_705_121;
pub const ID: &str = "msg_1";

impl Scheme {
    /// A secret of the scheme's form.
    pub fn secret(&self, which: u8) -> String {
        match self.form {
            Form::Standard => format!("whsec_{}", STANDARD.encode([which; 24])),
            _ => format!("secret-number-{which}-0123456789"),
        }
    }

    /// The value of the header, without its prefix.
    pub fn signed(&self, secret: &str, body: &[u8], at: i64) -> String {
        match self.form {
            Form::Token => secret.to_owned(),
            Form::Hex { .. } => hex::encode(hmac(secret.as_bytes(), &[body])),
            Form::Standard => {
                let key = STANDARD.decode(&secret["whsec_".len()..]).expect("base64");
                STANDARD.encode(hmac(&key, &[format!("{ID}.{at}.").as_bytes(), body]))
            }
        }
    }

    /// The headers of a delivery with this value of the scheme's header.
    pub fn headers(&self, value: &str, at: i64) -> Vec<(String, String)> {
        let mut headers = vec![(self.header.to_owned(), value.to_owned())];
        if self.form == Form::Standard {
            headers.push(("webhook-id".to_owned(), ID.to_owned()));
            headers.push(("webhook-timestamp".to_owned(), at.to_string()));
        }
        headers
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The contracts of the plugins that are built in.
pub async fn built_in() -> (TempDir, Plugins) {
    let folder = TempDir::new().expect("a temporary folder");
    let plugins =
        Plugins::start(Settings::new(folder.path().join("plugins"))).await.expect("the engine starts");
    (folder, plugins)
}

/// What the forge's plugin declares; where it is not built in, what its vendor documents.
fn contract(plugins: &Plugins, name: &str, documented: fn() -> Vec<WebhookScheme>) -> WebhookContract {
    plugins.webhook_contract(name).unwrap_or_else(|_| WebhookContract {
        schemes: documented(),
        delivery_headers: Vec::new(),
        event_headers: Vec::new(),
    })
}

fn scheme(algorithm: &str, header: &str, prefix: &str, encoding: &str, signed: &str) -> WebhookScheme {
    WebhookScheme {
        name: algorithm.into(),
        algorithm: algorithm.into(),
        header: header.into(),
        prefix: prefix.into(),
        encoding: encoding.into(),
        signed: signed.into(),
        separator: None,
        timestamp: None,
        secret_prefix: None,
    }
}

/// A signing token as Standard Webhooks has it, or the older secret token in clear.
fn documented_by_gitlab() -> Vec<WebhookScheme> {
    let signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}";
    let mut strong = scheme("hmac-sha256", "webhook-signature", "v1,", "base64", signed);
    strong.name = "standard-webhooks".into();
    strong.separator = Some(' ');
    strong.timestamp = Some(TimestampRule { header: "webhook-timestamp".into(), tolerance_secs: 300 });
    strong.secret_prefix = Some("whsec_".into());
    vec![strong, scheme("shared-token", "x-gitlab-token", "", "plain", "")]
}

/// `v1=<hex>`, and after commas other versions.
fn documented_by_circleci() -> Vec<WebhookScheme> {
    let mut signed = scheme("hmac-sha256", "circleci-signature", "v1=", "hex", "{body}");
    signed.separator = Some(',');
    vec![signed]
}

fn none() -> Vec<WebhookScheme> {
    Vec::new()
}

pub async fn schemes() -> Vec<Scheme> {
    let (_folder, plugins) = built_in().await;
    let hex = Form::Hex { several: false };
    let rows: [(&'static str, &'static str, &'static str, &'static str, Form); 11] = [
        ("GitHub", "github", "x-hub-signature-256", "sha256=", hex),
        ("Bitbucket", "bitbucket", "x-hub-signature", "sha256=", hex),
        ("Gitea", "gitea", "x-gitea-signature", "", hex),
        ("Gitea, as GitHub does", "gitea", "x-hub-signature-256", "sha256=", hex),
        ("Forgejo", "gitea", "x-forgejo-signature", "", hex),
        ("Gogs", "gitea", "x-gogs-signature", "", hex),
        ("GitLab's secret token", "gitlab", "x-gitlab-token", "", Form::Token),
        ("GitLab's signing token", "gitlab", "webhook-signature", "v1,", Form::Standard),
        ("generic, signed", "generic", "x-hub-signature-256", "sha256=", hex),
        ("generic, bearer", "generic", "authorization", "Bearer ", Form::Token),
        ("CircleCI", "circleci", "circleci-signature", "v1=", Form::Hex { several: true }),
    ];
    let of = |(name, plugin, header, prefix, form)| {
        let documented = match plugin {
            "gitlab" => documented_by_gitlab,
            "circleci" => documented_by_circleci,
            _ => none,
        };
        let contract = contract(&plugins, plugin, documented);
        assert!(contract.schemes.iter().any(|scheme| scheme.header == header), "{plugin} declares {header}");
        Scheme { name, contract, header, prefix, form }
    };
    rows.into_iter().map(of).collect()
}
