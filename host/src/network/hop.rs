//! What passes through us from one HTTP connection to another.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

/// The headers that are only for the neighbour who sent them, by its own word (RFC 9110, section 7.6.1).
pub fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}
