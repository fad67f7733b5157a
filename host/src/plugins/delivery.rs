//! What a plugin gets to see of a webhook delivery.

use crate::domain::plugin::WebhookContract;

/// Most bytes of a webhook's body.
pub(super) const BODY_BYTES: usize = 25 << 20;
/// Never handed to a guest, beside the headers that carry the signature.
const PRIVATE_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

pub(super) fn public_headers(
    headers: Vec<(String, String)>,
    contract: Option<&WebhookContract>,
) -> Vec<(String, String)> {
    let is_private = |name: &str| {
        PRIVATE_HEADERS.contains(&name)
            || contract.is_some_and(|contract| contract.schemes.iter().any(|scheme| scheme.header == name))
    };
    headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| !is_private(name))
        .collect()
}
