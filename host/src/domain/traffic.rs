//! How people reach a stack through the router, and the route table that follows from it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Id;
use super::rollout::Weight;
use super::route::{HeaderRoute, Hold, Probe, Route, RouteTable, Share, Sticky, Target, Timeouts};
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
    /// Hosts that lead to a new release while it is being rolled out, as soon as it is healthy; otherwise to what serves.
    #[serde(default)]
    pub preview_hosts: Vec<String>,
    /// Who gets a new release while it is being rolled out, whatever its share is.
    #[serde(default)]
    pub testers: Option<Testers>,
}

/// Requests with this header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Testers {
    pub header: String,
    /// Compared as a whole, and byte for byte.
    pub value: String,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            path: root(),
            sticky: None,
            redirect_https: false,
            preview_hosts: Vec::new(),
            testers: None,
        }
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
        if !self.is_routed() && self.has_preview() {
            let message = "previewHosts and testers are for stacks that have hosts";
            return Err(Error::invalid("traffic.hosts", message));
        }
        let all = RouteTable { version: 1, routes: self.every_route(), ..RouteTable::default() };
        all.check().map_err(|error| match error {
            Error::Invalid { field, message } => {
                // The route for previews comes first, if there is one.
                let field = match self.preview_hosts.is_empty() {
                    true => field.replace("routes[0]", "traffic"),
                    false => field
                        .replace("routes[0].hosts", "traffic.previewHosts")
                        .replace("routes[0]", "traffic")
                        .replace("routes[1]", "traffic"),
                };
                Error::invalid(field.replace("traffic.headers", "traffic.testers"), message)
            }
            other => other,
        })
    }

    /// All that a rollout could make of it.
    fn every_route(&self) -> Vec<Route> {
        let release = Id::from_text("new");
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        routes(&Routed {
            name: "stack".into(),
            traffic: self.clone(),
            weights: vec![Weight { release: release.clone(), percent: 100 }],
            instances: vec![Reachable { release: release.clone(), address, health_path: None }],
            candidate: Some(release),
            held: false,
        })
    }

    /// People can look at a release that does not serve yet.
    pub fn has_preview(&self) -> bool {
        !self.preview_hosts.is_empty() || self.testers.is_some()
    }

    /// The first host that both take, where their paths are the same.
    pub fn shared_host<'a>(&'a self, other: &Self) -> Option<&'a str> {
        if self.path.trim_end_matches('/') != other.path.trim_end_matches('/') {
            return None;
        }
        let taken = |host: &&String| other.all_hosts().any(|its| its.eq_ignore_ascii_case(host));
        self.all_hosts().find(taken).map(String::as_str)
    }

    /// Those of previews included.
    pub fn all_hosts(&self) -> impl Iterator<Item = &String> + Clone {
        self.hosts.iter().chain(&self.preview_hosts)
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
    /// What is being rolled out.
    pub candidate: Option<Id>,
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
    let mut routes: Vec<Route> = stacks.iter().flat_map(routes).collect();
    // The same stacks make the same table, in whatever order they come.
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    RouteTable { routes, ..RouteTable::default() }
}

/// The stack's route, after the one for previews if it has such hosts.
fn routes(stack: &Routed) -> Vec<Route> {
    let traffic = &stack.traffic;
    let mut releases = shares(stack);
    let served = !stack.weights.is_empty();
    let hold = (stack.held && served && releases.is_empty()).then_some(HOLD);
    let candidate = stack.candidate.as_ref().map(|release| Share {
        release: release.to_string(),
        weight: 100,
        targets: targets(stack, release),
    });
    let candidate = candidate.filter(|share| !share.targets.is_empty());
    let mut routes = Vec::new();
    if !traffic.preview_hosts.is_empty() {
        let releases = candidate.clone().map_or_else(|| releases.clone(), |share| vec![share]);
        let hold = hold.clone().filter(|_| releases.is_empty());
        let hosts = traffic.preview_hosts.clone();
        routes.push(Route { hosts, releases, hold, ..traffic.route(&format!("{}:preview", stack.name)) });
    }
    let mut headers = Vec::new();
    if let (Some(testers), Some(share), false) = (&traffic.testers, candidate, releases.is_empty()) {
        let Testers { header, value } = testers.clone();
        headers.push(HeaderRoute { header, value, release: share.release.clone() });
        if releases.iter().all(|known| known.release != share.release) {
            // Without a weight it gets what the header orders, and nothing else.
            releases.push(Share { weight: 0, ..share });
        }
    }
    routes.push(Route { releases, headers, hold, ..traffic.route(&stack.name) });
    routes
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
            candidate: None,
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
    fn testers_and_previews_get_the_new_release_while_the_requests_go_where_they_went() {
        let mut routed = stack(vec![weight("old", 100)], &[("old", 1), ("new", 2)]);
        let testers = Testers { header: "x-try".into(), value: "new".into() };
        routed.traffic.preview_hosts = vec!["new.example.org".into()];
        routed.traffic.testers = Some(testers);
        let shown = |routed: &Routed| {
            let table = RouteTable { version: 1, ..table(std::slice::from_ref(routed)) };
            table.check().expect("the router takes it");
            let preview: Vec<String> =
                table.routes[1].releases.iter().map(|share| share.release.clone()).collect();
            let weights: Vec<(String, u8)> =
                table.routes[0].releases.iter().map(|share| (share.release.clone(), share.weight)).collect();
            (preview, weights, table.routes[0].headers.len())
        };
        let (old, new) = (("old".to_owned(), 100), ("new".to_owned(), 0));
        assert_eq!(shown(&routed), (vec!["old".to_owned()], vec![old.clone()], 0), "nothing is rolled out");
        routed.candidate = Some(Id::from_text("new"));
        assert_eq!(shown(&routed), (vec!["new".to_owned()], vec![old.clone(), new], 1));
        routed.instances.pop();
        assert_eq!(shown(&routed), (vec!["old".to_owned()], vec![old], 0), "it is not healthy yet");
    }

    #[test]
    fn what_is_wrong_with_previews_and_testers_is_said_with_their_field() {
        let field = |preview: &str, header: &str| {
            let bad = Traffic {
                hosts: vec!["app.example.org".into()],
                preview_hosts: vec![preview.into()],
                testers: Some(Testers { header: header.into(), value: "1".into() }),
                ..Traffic::default()
            };
            let Err(Error::Invalid { field, .. }) = bad.check() else { panic!("it was taken") };
            field
        };
        assert_eq!(field("no host", "x-try"), "traffic.previewHosts");
        assert_eq!(field("new.example.org", "no header"), "traffic.testers");
        assert_eq!(field("app.example.org", "x-try"), "traffic.hosts", "one host cannot lead to both");
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
