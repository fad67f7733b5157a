//! Parsers of what comes from outside, driven by libFuzzer: one program, the target by name in `WINDLASS_FUZZ`. `make fuzz` builds
//! it so that the host's code tells which ways an input took.
//!
//! A target ends with a panic, or after the time that libFuzzer is given, where the code does what it must not. Which parser each
//! of them drives stands in `docs/fuzzing.md`.

#![no_main]

mod archives;
mod repositories;
mod streams;

use std::path::{Component, Path};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use windlass::app::audit::verify_export;
use windlass::domain::access::Role;
use windlass::domain::build_config::BuildSettings;
use windlass::domain::build_options::BuildOptions;
use windlass::domain::cassette::Cassette;
use windlass::domain::cicd::{JobParams, RateBudget};
use windlass::domain::client_address::client_address;
use windlass::domain::compose::{analysis, parts, policy, source};
use windlass::domain::notification::Notification;
use windlass::domain::notify::RulePlan;
use windlass::domain::path_filter::PathFilter;
use windlass::domain::pipeline::PipelineModel;
use windlass::domain::plugin::{TimestampRule, WebhookContract, WebhookScheme};
use windlass::domain::protection::Window;
use windlass::domain::remote::Remote;
use windlass::domain::route::RouteTable;
use windlass::domain::route::choice::Index;
use windlass::domain::schedule::SchedulePlan;
use windlass::domain::sealed::Sealed;
use windlass::domain::server_file::ServerFile;
use windlass::domain::stack::RunSpec;
use windlass::domain::target::Address;
use windlass::domain::template::filled_text;
use windlass::domain::time::{from_moment, until_moment};
use windlass::domain::{backup, difference, image_name, path, reference, repo_file, repository, totp, yaml};
use windlass::plugins::signature::verify;

type Target = fn(&str);

const TARGETS: &[(&str, Target)] = &[
    ("remote", remote),
    ("target", target),
    ("forwarded", forwarded),
    ("server-file", server_file),
    ("repo-file", repo_file_overlay),
    ("compose-text", compose_text),
    ("compose-file", compose_file),
    ("template", template),
    ("path-filter", path_filter),
    ("names", names),
    ("window", window),
    ("schedule", schedule),
    ("sealed", sealed),
    ("difference", differences),
    ("cassette", cassette),
    ("routes", routes),
    ("signature", signature),
    ("export", export),
    ("moment", moment),
    ("path", relative_path),
    ("options", options),
    ("rule", rule),
    ("code", code),
    ("model", model),
    ("budget", budget),
    ("backup", archives::backup),
    ("output", archives::output),
    ("oci", archives::oci),
    ("schema", archives::schema),
    ("cookie", streams::cookie),
    ("lines", streams::lines),
    ("sse", streams::sse),
    ("colours", streams::colours),
    ("dockerignore", repositories::dockerignore),
    ("submodules", repositories::submodules),
    ("push-rules", repositories::push_rules),
    ("cursor", repositories::cursor),
    ("known-hosts", repositories::known_hosts),
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("WINDLASS_FUZZ").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let known: Vec<&str> = TARGETS.iter().map(|(known, _)| *known).collect();
    found.unwrap_or_else(|| panic!("WINDLASS_FUZZ has to be one of {}", known.join(" "))).1
});

fuzz_target!(|data: &[u8]| TARGET(&String::from_utf8_lossy(data)));

/// Two parts of an input, at its first line's end.
fn halves(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// No password of a URL is shown, and what is accepted stays one URL.
fn remote(text: &str) {
    let shown = repository::redact_url(text);
    if let Ok(remote) = Remote::parse(text) {
        assert!(!remote.host.is_empty() && !remote.host.contains(['/', '@', '\\', ' ']), "{text:?}");
        assert!(Remote::parse(&repository::normalized_url(text)).is_ok() || !remote.host.is_empty());
        if let Some((_, rest)) = text.split_once("://") {
            let login = rest.split(['/', '?', '#']).next().unwrap_or_default().rsplit_once('@');
            if let Some((login, _)) = login.filter(|(login, _)| login.len() > 3) {
                assert!(!shown.contains(login), "{text:?} is shown as {shown:?}");
            }
        }
    }
    let _ = repository::check_url(text);
}

fn target(text: &str) {
    if let Ok(Address::Ssh { user, host, .. }) = Address::parse(text) {
        // Both become arguments of ssh.
        assert!(!user.starts_with('-') && !host.starts_with('-'), "{text:?}");
    }
}

fn forwarded(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let peer = "10.0.0.1".parse().unwrap();
    let found = client_address(peer, &lines, &trusted);
    let stranger = "192.0.2.1".parse().unwrap();
    assert_eq!(client_address(stranger, &lines, &trusted), stranger, "nobody is believed about {found}");
}

fn server_file(text: &str) {
    if let Ok(file) = yaml::read::<ServerFile>("file", text) {
        let _ = file.check();
    }
}

fn repo_file_overlay(text: &str) {
    let _ = repo_file::overlay(text, &mut BuildSettings::default(), &mut RunSpec::default());
}

fn compose_text(text: &str) {
    for name in source::variables(text) {
        assert!(text.contains(&name) && !name.contains(['=', '\0', ' ']), "{name:?}");
    }
}

fn compose_file(text: &str) {
    let Ok(mut file) = serde_json::from_str::<Value>(text) else { return };
    let _ = source::check(&file);
    let _ = policy::check(&file, "project", &[]);
    let _ = parts::pin(&mut file, |image| Some(format!("{image}@sha256:0")));
    let _ = parts::images(&file);
    if let Ok((name, service)) = analysis::routed(&file, Some("web")) {
        let _ = analysis::conflicts(&file, service);
        let _ = analysis::run_spec(&file, service, &RunSpec::default());
        let _ = parts::conditions(&file, name);
        let _ = parts::hash(&file, name, name);
    }
}

/// A text without places is itself.
fn template(text: &str) {
    let mut values = Map::new();
    values.insert("name".into(), json!("value"));
    if let Ok(filled) = filled_text(text, "text", &values)
        && !text.contains('{')
    {
        assert_eq!(filled, text);
    }
}

fn path_filter(text: &str) {
    let (patterns, paths) = halves(text);
    let patterns: Vec<String> = patterns.split('|').map(str::to_owned).collect();
    if let Ok(filter) = PathFilter::new("paths", &patterns) {
        for path in paths.lines() {
            let _ = filter.takes_one(path);
        }
    }
}

/// What passes for a name of git or of an image is no option of any program.
fn names(text: &str) {
    if reference::check_name(text).is_ok() {
        assert!(!text.starts_with('-') && !text.contains(['\n', '\0', ' ']), "{text:?}");
    }
    if image_name::is_image(text) {
        assert!(!text.starts_with('-'), "{text:?}");
        let _ = (image_name::registry_of(text), image_name::tag_of(text));
    }
    let _ = reference::check_commit(text);
    let _ = Role::parse(text);
}

/// What was read and is written is read as the same.
fn window(text: &str) {
    if let Ok(window) = Window::parse(text) {
        assert_eq!(Window::parse(&window.to_string()).ok(), Some(window));
    }
}

fn schedule(text: &str) {
    let (cron, zone) = halves(text);
    let plan: SchedulePlan =
        match serde_json::from_value(json!({ "name": "a", "cron": cron, "timeZone": zone })) {
            Ok(plan) => plan,
            Err(_) => return,
        };
    if plan.check().is_ok() {
        let now = 1_790_000_000_000;
        if let Ok(Some(next)) = plan.next_after(now) {
            assert!(next > now, "{text:?}: {next}");
        }
    }
}

fn sealed(text: &str) {
    assert!(Sealed::parse(text).is_none() || Sealed::is_one(text), "{text:?}");
}

fn differences(text: &str) {
    let (old, new) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let _ = difference::difference(old, new);
}

fn cassette(text: &str) {
    if let Ok(cassette) = serde_json::from_str::<Cassette>(text) {
        for call in &cassette.calls {
            let _ = (call.is_delivery(), call.with_half_a_delivery());
        }
    }
}

fn routes(text: &str) {
    let (json, request) = halves(text);
    if let Ok(table) = serde_json::from_str::<RouteTable>(json)
        && table.check().is_ok()
    {
        let (host, path) = request.split_once(' ').unwrap_or((request, "/"));
        let found = Index::new(&table.routes).find(host, path);
        assert!(found.is_none_or(|at| at < table.routes.len()));
    }
}

/// Nobody who does not know the secret gets through.
fn signature(text: &str) {
    let (header, body) = halves(text);
    for (encoding, prefix, signed, timestamp) in
        [("hex", "sha256=", "{body}", None), ("base64", "v1,", "{header:id}.{header:at}.{body}", Some("at"))]
    {
        let scheme = WebhookScheme {
            name: "scheme".into(),
            algorithm: "hmac-sha256".into(),
            header: "signature".into(),
            prefix: prefix.into(),
            encoding: encoding.into(),
            signed: signed.into(),
            separator: timestamp.map(|_| ' '),
            timestamp: timestamp
                .map(|header: &str| TimestampRule { header: header.into(), tolerance_secs: 300 }),
            secret_prefix: None,
        };
        let contract = WebhookContract {
            schemes: vec![scheme],
            delivery_headers: Vec::new(),
            event_headers: Vec::new(),
        };
        let mut headers = vec![("signature".to_owned(), header.to_owned())];
        headers
            .extend(body.lines().filter_map(|line| line.split_once(": ")).map(|(a, b)| (a.into(), b.into())));
        let found = verify(
            &contract,
            &headers,
            body.as_bytes(),
            &[b"a secret that nobody guesses"],
            1_790_000_000_000,
        );
        assert!(found.is_err(), "{text:?} is believed");
    }
}

/// Whatever the file says of its own beginning and end, there is a verdict.
fn export(text: &str) {
    if let Ok(verified) = verify_export(text) {
        assert_eq!(verified.intact, verified.problem.is_none(), "{text:?}");
    }
}

/// A day ends after it has begun, and a time is one moment.
fn moment(text: &str) {
    let (from, until) = (from_moment("since", Some(text)), until_moment("until", Some(text)));
    if let (Ok(Some(from)), Ok(Some(until))) = (from, until) {
        assert!(until == from || until - from == 24 * 3600 * 1000, "{text:?}: {from} to {until}");
    }
}

/// What is accepted stays below the folder that it is looked for in, also behind another one.
fn relative_path(text: &str) {
    let (base, inner) = halves(text);
    for one in [base, inner] {
        if path::check_relative("path", one).is_ok() {
            let leaves = Path::new(one)
                .components()
                .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
            assert!(!leaves, "{one:?}");
        }
    }
    if path::check_relative("base", base).is_ok() && path::check_relative("path", inner).is_ok() {
        let joined = path::join(base, inner);
        assert!(!joined.starts_with('/') && !joined.split('/').any(|part| part == ".."), "{joined:?}");
    }
    if let Some(table) = backup::table_of(text) {
        assert!(!table.contains('/'), "{table:?}");
    }
}

/// What passes names no image that is an option, and no file outside.
fn options(text: &str) {
    if let Ok(options) = serde_json::from_str::<BuildOptions>(text)
        && options.check().is_ok()
    {
        assert!(options.images().all(|image| !image.starts_with('-')), "{text:?}");
        assert!(options.artifacts.iter().all(|pattern| !pattern.starts_with('/')), "{text:?}");
    }
}

/// Words that were accepted when the rule was made can be put in when something happens.
fn rule(text: &str) {
    if let Ok(rule) = serde_json::from_str::<RulePlan>(text)
        && rule.check().is_ok()
    {
        let _ = rule.wants("deployment.failed");
        assert!(rule.worded(Notification::sample()).is_ok(), "{text:?}");
    }
}

/// A code is right only if it is one of those around now.
fn code(text: &str) {
    let (secret, now) = (b"12345678901234567890", 1_790_000_000_000);
    if let Some(step) = totp::matching_step(secret, text, now) {
        assert!(totp::step_at(now).abs_diff(step) <= 1, "{text:?}: {step}");
        assert_eq!(text, totp::code_at(secret, step));
    }
}

/// Scripts of a pipeline that passed are inside of the repository, and its hosts in environments that there are.
fn model(text: &str) {
    if let Ok(model) = serde_json::from_str::<PipelineModel>(text)
        && model.check().is_ok()
    {
        assert!(model.scripts.iter().all(|script| !script.path.starts_with('/')), "{text:?}");
    }
    if let Ok(job) = serde_json::from_str::<JobParams>(text) {
        let _ = job.check();
    }
}

/// However a provider words its limits, nobody waits longer for it than there is reason to.
fn budget(text: &str) {
    let (names, now) = (["limit", "remaining", "reset"], 1_790_000_000_000);
    let mut values = text.lines();
    let said: Vec<(String, &str)> =
        names.into_iter().filter_map(|name| Some((format!("x-ratelimit-{name}"), values.next()?))).collect();
    let header = |name: &str| said.iter().find(|(of, _)| of == name).map(|(_, value)| *value);
    if let Some(budget) = RateBudget::read(header, now) {
        assert!(budget.remaining <= budget.limit && budget.limit > 0, "{text:?}");
        let wait = budget.stretched(1000, now);
        assert!((1000..=3_600_000).contains(&wait), "{text:?}: {wait}");
    }
}
