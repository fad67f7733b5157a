//! Reads what a plugin says about itself, and refuses what contradicts its type or the contract.

use super::bindings::base::BasePre;
use super::bindings::base::exports::windlass::plugin::manifest as wit;
use super::broker::{Injection, check_pattern};
use super::call::{CallError, Callee, Runtime, nonsense};
use super::recorder::Occasion;
use super::signature::{self, is_header};
use super::tape::Function;
use super::{schema, text};
use crate::domain::plugin::{
    Ability, CredentialSlot, Manifest, Permission, PluginKind, TimestampRule, WebhookContract, WebhookScheme,
};
use crate::error::Result;

/// Entries of any one list in a manifest.
const ENTRIES: usize = 64;
const SCHEMA_BYTES: usize = 256 << 10;
/// How old a signed delivery may be where its scheme does not say.
const TOLERANCE_SECS: u32 = 300;

const DESCRIBE: Function = Function { interface: "windlass:plugin/manifest@0.1.0", name: "describe" };

/// Calls `describe`. Only done once for a digest.
pub(super) fn read(runtime: &Runtime, callee: &Callee) -> Result<Manifest> {
    runtime.call_blocking(callee, DESCRIBE, Occasion::Unknown, |store, pre| {
        let base = BasePre::new(pre.clone())?.instantiate(&mut *store)?;
        let manifest = base.windlass_plugin_manifest().call_describe(store)?;
        let lists = [manifest.kinds.len(), manifest.credentials.len(), manifest.permissions.len()];
        if lists.into_iter().any(|len| len > ENTRIES) || manifest.settings_schema.len() > SCHEMA_BYTES {
            return Err(nonsense(format!(
                "a manifest with more than {ENTRIES} entries in a list or a schema above {SCHEMA_BYTES} bytes"
            )));
        }
        // Only here, when the component is first seen: the check takes longer than a start has time for.
        schema::check(&manifest.settings_schema)
            .map_err(|why| nonsense(format!("its settings' schema {why}")))?;
        manifest_from(manifest)
    })
}

fn manifest_from(manifest: wit::Manifest) -> Result<Manifest, CallError> {
    let extra = |wanted: &str| {
        manifest.extras.iter().take(ENTRIES).find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    Ok(Manifest {
        generator: extra("generator").map(|name| text::line(name, 64)),
        keyed_trigger: extra("trigger").is_some_and(|how| how == "keyed"),
        name: text::line(&manifest.name, 256),
        version: text::line(&manifest.version, 256),
        summary: text::line(&manifest.summary, 1024),
        kinds: manifest.kinds.iter().map(|kind| text::line(kind, 64)).collect(),
        settings_schema: manifest.settings_schema,
        credentials: manifest
            .credentials
            .into_iter()
            .map(|slot| CredentialSlot {
                name: text::line(&slot.name, 256),
                summary: text::line(&slot.summary, 1024),
                injection: text::line(&slot.injection, 256),
                required: slot.required,
                extras: slot
                    .extras
                    .iter()
                    .take(ENTRIES)
                    .map(|(name, value)| (text::line(name, 64), text::line(value, 1024)))
                    .collect(),
            })
            .collect(),
        permissions: manifest
            .permissions
            .into_iter()
            .map(|permission| Permission {
                methods: permission
                    .methods
                    .iter()
                    .take(ENTRIES)
                    .map(|method| text::line(method, 32))
                    .collect(),
                path: text::line(&permission.path, 1024),
                reason: text::line(&permission.reason, 1024),
            })
            .collect(),
        webhooks: manifest.webhooks.map(contract_from).transpose()?,
        api_bases: manifest
            .extras
            .iter()
            .take(ENTRIES)
            .filter(|(name, _)| name == "api-base")
            .filter_map(|(_, value)| value.split_once(' '))
            .map(|(host, base)| (text::line(host, 256), text::line(base, 1024)))
            .collect(),
        reads: manifest
            .extras
            .iter()
            .filter(|(name, _)| name == "reads")
            .flat_map(|(_, names)| names.split_whitespace())
            .take(ENTRIES)
            .map(|name| text::line(name, 256))
            .collect(),
    })
}

fn contract_from(contract: wit::WebhookContract) -> Result<WebhookContract, CallError> {
    let headers = |names: Vec<String>| names.iter().take(ENTRIES).map(|name| text::line(name, 256)).collect();
    Ok(WebhookContract {
        schemes: contract.schemes.into_iter().take(ENTRIES).map(scheme_from).collect::<Result<_, _>>()?,
        delivery_headers: headers(contract.delivery_headers),
        event_headers: headers(contract.event_headers),
    })
}

fn scheme_from(scheme: wit::WebhookScheme) -> Result<WebhookScheme, CallError> {
    let extra = |wanted: &str| {
        scheme.extras.iter().find(|(name, _)| name == wanted).map(|(_, value)| text::line(value, 256))
    };
    let name = text::line(&scheme.name, 256);
    let bad = |what: &str, value: &str, right: &str| {
        nonsense(format!("the webhook scheme `{name}` with the {what} `{value}`, which has to be {right}"))
    };
    let separator = match extra("separator") {
        None => None,
        Some(text) => match text.chars().collect::<Vec<_>>()[..] {
            [one] => Some(one),
            _ => return Err(bad("separator", &text, "one character")),
        },
    };
    let tolerance_secs = match extra("tolerance-seconds") {
        None => TOLERANCE_SECS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (1..=3600).contains(seconds))
            .ok_or_else(|| bad("tolerance-seconds", &text, "a number from 1 to 3600"))?,
    };
    Ok(WebhookScheme {
        algorithm: text::line(&scheme.algorithm, 64),
        header: text::line(&scheme.header, 256),
        prefix: text::line(&scheme.prefix, 256),
        encoding: text::line(&scheme.encoding, 64),
        signed: text::line(&scheme.signed, 1024),
        separator,
        timestamp: extra("timestamp-header").map(|header| TimestampRule { header, tolerance_secs }),
        secret_prefix: extra("secret-prefix"),
        name,
    })
}

/// The first thing that is wrong, if any. `kinds` are what the component's type shows.
pub(super) fn check(manifest: &Manifest, kinds: &[PluginKind], abilities: &[Ability]) -> Result<(), String> {
    if !is_slug(&manifest.name) {
        return Err(format!(
            "its manifest's name `{}` does not fit `[a-z0-9][a-z0-9-]{{0,62}}`",
            manifest.name
        ));
    }
    if !is_semver(&manifest.version) {
        return Err(format!(
            "its manifest's version `{}` is no semantic version, such as 1.2.3",
            manifest.version
        ));
    }
    let mut said: Vec<&str> = manifest.kinds.iter().map(String::as_str).collect();
    let mut shown: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    said.sort_unstable();
    shown.sort_unstable();
    if said != shown {
        return Err(format!(
            "its manifest says that it is of the kinds [{}], and its exports say [{}]",
            said.join(", "),
            shown.join(", ")
        ));
    }
    check_credentials(manifest)?;
    for permission in &manifest.permissions {
        if let Some(method) = permission.methods.iter().find(|method| !is_method(method)) {
            return Err(format!("`{method}` among its permissions is no HTTP method in capitals"));
        }
        check_pattern(&permission.path)
            .map_err(|why| format!("the path `{}` among its permissions {why}", permission.path))?;
    }
    let reads_builds = abilities.contains(&Ability::Webhooks);
    match &manifest.webhooks {
        None if reads_builds => {
            Err("it exports webhooks, and its manifest does not say how they are verified".into())
        }
        None => Ok(()),
        Some(_) if !reads_builds && !kinds.contains(&PluginKind::GitForge) => {
            Err("it declares webhooks, and nothing that it exports reads any".into())
        }
        Some(contract) => check_contract(contract),
    }
}

fn check_credentials(manifest: &Manifest) -> Result<(), String> {
    let slots = &manifest.credentials;
    for (i, slot) in slots.iter().enumerate() {
        if !is_slug(&slot.name) || slots.iter().take(i).any(|other| other.name == slot.name) {
            return Err(format!("its credential slot `{}` has no good name, or one used twice", slot.name));
        }
        Injection::of(slot).map_err(|why| {
            format!(
                "the injection `{}` of its credential slot `{}` is wrong: {why}",
                slot.injection, slot.name
            )
        })?;
    }
    let variables = slots.iter().flat_map(|slot| slot.variables().into_iter().map(move |name| (slot, name)));
    for (slot, name) in variables {
        if !schema::has_text(&manifest.settings_schema, name) {
            return Err(format!(
                "the recipe of its credential slot `{}` names the variable `{name}`, and its settings' schema has no \
                 property `{name}` of the type `string`, so no operator could give it a value",
                slot.name
            ));
        }
    }
    Ok(())
}

fn check_contract(contract: &WebhookContract) -> Result<(), String> {
    if contract.schemes.is_empty() {
        return Err("it declares webhooks without a signature scheme, so none could ever be verified".into());
    }
    for scheme in &contract.schemes {
        let name = &scheme.name;
        if !is_header(&scheme.header) {
            return Err(format!(
                "`{}` of its webhook scheme `{name}` is no header in lower case",
                scheme.header
            ));
        }
        match (scheme.algorithm.as_str(), scheme.encoding.as_str()) {
            ("hmac-sha256", "hex" | "base64") => {
                signature::parts(scheme).map_err(|why| format!("its webhook scheme `{name}` {why}"))?;
            }
            ("shared-token", "plain") => {}
            (algorithm, encoding) => {
                return Err(format!(
                    "its webhook scheme `{name}` is `{algorithm}` in `{encoding}`; this host verifies hmac-sha256 in \
                     hex or base64, and shared-token in plain"
                ));
            }
        }
    }
    let mut names = contract.delivery_headers.iter().chain(&contract.event_headers);
    match names.find(|name| !is_header(name)) {
        Some(name) => Err(format!("`{name}` among its webhook headers is no header in lower case")),
        None => Ok(()),
    }
}

fn is_slug(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_method(method: &str) -> bool {
    (1..=16).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase())
}

/// Semantic Versioning 2.0.0.
fn is_semver(version: &str) -> bool {
    let number = |text: &str| {
        !text.is_empty()
            && text.len() <= 9
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    let words = |text: &str| {
        text.split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let pre_is_good = pre.is_none_or(|pre| {
        words(pre) && pre.split('.').all(|word| !word.bytes().all(|b| b.is_ascii_digit()) || number(word))
    });
    core.split('.').count() == 3 && core.split('.').all(number) && pre_is_good && build.is_none_or(words)
}
