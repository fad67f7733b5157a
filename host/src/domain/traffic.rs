//! How people reach a stack through the router, and the route table that follows from it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Id;
use super::rollout::Weight;
use super::route::{Hold, Probe, Route, RouteTable, Share, Sticky, Target, Timeouts};
use crate::error::{Error, Result};

/// How requests wait while the only copy of a stack is replaced.
const HOLD: Hold = Hold { deadline_ms: 30_000, queue: 1_000 };

/// Where the router takes requests for a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traffic {
    /// `app.example.org`, or `*.example.org` for any name below it. Empty: the router does not know the stack.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Requests below this path.
    #[serde(default = "root")]
    pub path: String,
    /// Whether a client stays with its release while two share the requests.
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Plain HTTP is answered with a redirect to HTTPS.
    #[serde(default)]
    pub redirect_https: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { hosts: Vec::new(), path: root(), sticky: None, redirect_https: false }
    }
}

fn root() -> String {
    "/".into()
}

impl Traffic {
    pub fn is_routed(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// # Errors
    /// `Invalid` with the field, by the router's own rules.
    pub fn check(&self) -> Result<()> {
        if self.hosts.len() > 100 {
            return Err(Error::invalid("traffic.hosts", "a stack has at most 100 hosts"));
        }
        let table = RouteTable { version: 1, routes: vec![self.route("stack")], certificates: Vec::new() };
        table.check().map_err(|error| match error {
            Error::Invalid { field, message } => {
                Error::invalid(field.replace("routes[0]", "traffic"), message)
            }
            other => other,
        })
    }

    /// The first host that both take, where their paths are the same.
    pub fn shared_host<'a>(&'a self, other: &Self) -> Option<&'a str> {
        if self.path.trim_end_matches('/') != other.path.trim_end_matches('/') {
            return None;
        }
        let taken = |host: &&String| other.hosts.iter().any(|its| its.eq_ignore_ascii_case(host));
        self.hosts.iter().find(taken).map(String::as_str)
    }

    fn route(&self, name: &str) -> Route {
        Route {
            name: name.to_string(),
            hosts: self.hosts.clone(),
            path: self.path.clone(),
            releases: Vec::new(),
            sticky: self.sticky.clone(),
            headers: Vec::new(),
            hold: None,
            redirect_https: self.redirect_https,
            timeouts: Timeouts::default(),
        }
    }
}

/// A stack that the router knows, as it is now.
#[derive(Debug, Clone)]
pub struct Routed {
    pub name: String,
    pub traffic: Traffic,
    pub weights: Vec<Weight>,
    pub instances: Vec<Reachable>,
    /// It is being rolled out: where nothing can answer at the moment, something soon will.
    pub held: bool,
}

/// An instance that may get requests.
#[derive(Debug, Clone)]
pub struct Reachable {
    pub release: Id,
    pub address: SocketAddr,
    /// What the router asks it from then on.
    pub health_path: Option<String>,
}

/// The table that says so. A release that nobody can be reached of gives its share to the others.
pub fn table(stacks: &[Routed]) -> RouteTable {
    let mut routes: Vec<Route> = stacks
        .iter()
        .map(|stack| {
            let releases = shares(stack);
            let served = !stack.weights.is_empty();
            let hold = (stack.held && served && releases.is_empty()).then_some(HOLD);
            Route { releases, hold, ..stack.traffic.route(&stack.name) }
        })
        .collect();
    // The same stacks make the same table, in whatever order they come.
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    RouteTable { version: 0, routes, certificates: Vec::new() }
}

fn shares(stack: &Routed) -> Vec<Share> {
    let mut shares: Vec<Share> = stack
        .weights
        .iter()
        .filter(|weight| weight.percent > 0)
        .map(|weight| Share {
            release: weight.release.to_string(),
            weight: u8::try_from(weight.percent).unwrap_or(100),
            targets: targets(stack, &weight.release),
        })
        .filter(|share| !share.targets.is_empty())
        .collect();
    let sum: u32 = shares.iter().map(|share| u32::from(share.weight)).sum();
    if sum == 0 || sum == 100 {
        return shares;
    }
    let mut left = 100;
    for share in &mut shares {
        share.weight = u8::try_from(u32::from(share.weight) * 100 / sum).unwrap_or(100);
        left -= share.weight;
    }
    if let Some(first) = shares.first_mut() {
        first.weight += left;
    }
    shares
}

fn targets(stack: &Routed, release: &Id) -> Vec<Target> {
    let mut targets: Vec<Target> = stack
        .instances
        .iter()
        .filter(|instance| instance.release == *release)
        .map(|instance| Target {
            address: instance.address,
            probe: instance.health_path.clone().map(|path| Probe { path, ..Probe::default() }),
        })
        .collect();
    targets.sort_by_key(|target| target.address);
    targets.dedup_by_key(|target| target.address);
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(release: &str, percent: u32) -> Weight {
        Weight { release: Id::from_text(release), percent }
    }

    fn stack(weights: Vec<Weight>, reachable: &[(&str, u16)]) -> Routed {
        let instances = reachable.iter().map(|(release, port)| Reachable {
            release: Id::from_text(*release),
            address: SocketAddr::from(([172, 17, 0, 2], *port)),
            health_path: Some("/health".into()),
        });
        Routed {
            name: "web".into(),
            traffic: Traffic { hosts: vec!["app.example.org".into()], ..Traffic::default() },
            weights,
            instances: instances.collect(),
            held: false,
        }
    }

    fn weights(routed: &Routed) -> Vec<(String, u8, usize)> {
        let table = RouteTable { version: 1, ..table(std::slice::from_ref(routed)) };
        table.check().expect("the router takes it");
        let shares = table.routes[0].releases.iter();
        shares.map(|share| (share.release.clone(), share.weight, share.targets.len())).collect()
    }

    #[test]
    fn shares_become_weights_and_instances_targets() {
        let routed = stack(
            vec![weight("old", 90), weight("new", 10)],
            &[("old", 1), ("old", 2), ("new", 3), ("x", 4)],
        );
        assert_eq!(weights(&routed), [("old".into(), 90, 2), ("new".into(), 10, 1)]);
    }

    #[test]
    fn a_release_that_cannot_be_reached_gives_its_share_away() {
        let routed = stack(vec![weight("old", 90), weight("new", 10)], &[("old", 1)]);
        assert_eq!(weights(&routed), [("old".into(), 100, 1)]);
        let routed = stack(vec![weight("a", 50), weight("b", 33), weight("c", 17)], &[("b", 1), ("c", 2)]);
        assert_eq!(weights(&routed), [("b".into(), 66, 1), ("c".into(), 34, 1)]);
        assert_eq!(weights(&stack(vec![weight("old", 100)], &[])), []);
    }

    #[test]
    fn requests_wait_only_while_a_rollout_replaces_the_one_that_served() {
        let holds = |held: bool, weights: Vec<Weight>, reachable: &[(&str, u16)]| {
            table(&[Routed { held, ..stack(weights, reachable) }]).routes[0].hold.is_some()
        };
        assert!(holds(true, vec![weight("old", 100)], &[]));
        assert!(!holds(true, vec![weight("old", 100)], &[("old", 1)]), "it still answers");
        assert!(!holds(true, vec![], &[]), "nothing served before");
        assert!(!holds(false, vec![weight("old", 100)], &[]), "nobody is bringing it back");
    }

    #[test]
    fn hosts_that_the_router_would_refuse_are_refused_with_their_field() {
        let bad = Traffic { hosts: vec!["not a host".into()], ..Traffic::default() };
        let Err(Error::Invalid { field, .. }) = bad.check() else { panic!("it was taken") };
        assert_eq!(field, "traffic.hosts");
    }

    #[test]
    fn two_stacks_may_share_a_host_below_different_paths() {
        let one = Traffic { hosts: vec!["A.example.org".into()], ..Traffic::default() };
        let two =
            Traffic { hosts: vec!["b.example.org".into(), "a.example.org".into()], ..Traffic::default() };
        assert_eq!(one.shared_host(&two), Some("A.example.org"));
        assert_eq!(one.shared_host(&Traffic { path: "/api".into(), ..two }), None);
    }
}
