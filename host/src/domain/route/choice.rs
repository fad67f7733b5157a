//! Which route and which release a request gets.
//!
//! A release is chosen by a *place* from 0 to 99: the releases own the places in the order of the table, as many as their
//! weight. A client that stays has a place of its own; other requests take the places in turn.

use std::collections::HashMap;

use super::{HeaderRoute, Route, Share};

/// Places that releases share.
pub const PLACES: u64 = 100;

/// The place of the n-th request. Any 100 requests that begin at a multiple of 100 take each place once, so shares are
/// exact. The step spreads them: a release with 10 parts gets about every tenth request, never ten in a row. Each hundred
/// begins elsewhere, so that a client with a rhythm of its own does not always meet the same release.
pub fn place_in_turn(n: u64) -> u8 {
    // Coprime to 100, and near 100 divided by the golden ratio.
    const STEP: u64 = 61;
    let offset = scatter(n / PLACES);
    place((n % PLACES) * STEP + offset % PLACES)
}

/// The place of whoever is known by these bytes; the same in every process.
pub fn place_of(key: &[u8]) -> u8 {
    // FNV-1a: short, and part of no promise to the outside; the scattering makes up for its weak low bits.
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    place(scatter(hash))
}

fn place(n: u64) -> u8 {
    u8::try_from(n % PLACES).unwrap_or(0)
}

/// The finalizer of splitmix64.
fn scatter(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The release that owns a place. `None` if nothing has a weight.
pub fn owner(releases: &[Share], place: u8) -> Option<usize> {
    let mut end = 0_u32;
    releases.iter().position(|share| {
        end += u32::from(share.weight);
        u32::from(place) < end
    })
}

/// The release that a header orders.
pub fn by_header<'r, 'h>(
    rules: &'r [HeaderRoute],
    value: impl Fn(&str) -> Option<&'h [u8]>,
) -> Option<&'r str> {
    rules
        .iter()
        .find(|rule| value(&rule.header) == Some(rule.value.as_bytes()))
        .map(|rule| rule.release.as_str())
}

/// Finds the route of a request. Made once for a table.
#[derive(Debug, Default)]
pub struct Index {
    exact: HashMap<String, Vec<Entry>>,
    /// By what follows the `*`, with its dot.
    below: HashMap<String, Vec<Entry>>,
    any: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Without a trailing slash.
    path: String,
    route: usize,
}

impl Index {
    pub fn new(routes: &[Route]) -> Self {
        let mut index = Self::default();
        for (route, entry) in routes.iter().enumerate() {
            let path = entry.path.trim_end_matches('/').to_string();
            if entry.hosts.is_empty() {
                index.any.push(Entry { path: path.clone(), route });
            }
            for host in &entry.hosts {
                let host = host.to_ascii_lowercase();
                let (names, name) = match host.strip_prefix('*') {
                    Some(rest) => (&mut index.below, rest.to_string()),
                    None => (&mut index.exact, host),
                };
                names.entry(name).or_default().push(Entry { path: path.clone(), route });
            }
        }
        let lists = index.exact.values_mut().chain(index.below.values_mut()).chain([&mut index.any]);
        for list in lists {
            list.sort_by_key(|entry| std::cmp::Reverse(entry.path.len()));
        }
        index
    }

    /// The route of a host (as in the `Host` header, a port is ignored) and a path. The exact name wins over `*`, a longer
    /// name after the `*` over a shorter one, and these over routes without a host; then the longest path.
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        let host = without_port(host);
        let lowered;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lowered = host.to_ascii_lowercase();
            &lowered
        } else {
            host
        };
        let exact = self.exact.get(host).and_then(|list| longest(list, path));
        exact.or_else(|| self.find_below(host, path)).or_else(|| longest(&self.any, path))
    }

    fn find_below(&self, host: &str, path: &str) -> Option<usize> {
        if self.below.is_empty() {
            return None;
        }
        // `*.example.org` is for names below it, not for `.example.org` itself.
        let dots = host.char_indices().filter(|(at, letter)| *letter == '.' && *at > 0);
        dots.filter_map(|(at, _)| self.below.get(&host[at..])).find_map(|list| longest(list, path))
    }
}

fn longest(list: &[Entry], path: &str) -> Option<usize> {
    list.iter().find(|entry| is_below(path, &entry.path)).map(|entry| entry.route)
}

/// Whether `path` is `prefix`, which has no trailing slash, or something below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// `[::1]:80` → `[::1]`, `example.org:80` → `example.org`; a dot at the end belongs to the name's notation, not to the name.
pub fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
