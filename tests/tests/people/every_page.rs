//! Every page of the dashboard on a phone, as somebody who may only look and as the administrator meet it. The pages are those of
//! the one list that there is, so a new one is opened as well.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass::domain::access::{Policy, Role, Subject};
use windlass::web::PAGES;
use windlass_tests::browser::Browser;

use crate::world::World;

const WIDTH: u64 = 360;

/// What cannot be shown here: nobody answers where the repository should be, and no provider has begun a build.
const IN_VAIN: [(&str, u64); 4] = [
    ("/stacks/{stack}/build-plan", 503),
    ("/stacks/{stack}/commits", 503),
    ("/stacks/{stack}/files", 503),
    ("/ci-builds/{ci_build}/artifacts", 409),
];

/// What a page tells of itself, asked for in one go. A control is what can be pressed and where it leads.
const LOOK: &str = r#"
    const at = (address) => new URL(address || location.href, location.href);
    const buttons = [...document.querySelectorAll("button, input")]
        .filter((one) => one.type === "submit" && one.form && !one.matches(":disabled"))
        .map((one) => [
            (one.getAttribute("formmethod") || one.form.getAttribute("method") || "get").toUpperCase(),
            at(one.getAttribute("formaction") || one.form.getAttribute("action")).pathname,
        ]);
    const links = [...document.querySelectorAll("a.button[href]")]
        .filter((one) => at(one.href).origin === location.origin)
        .map((one) => ["GET", at(one.href).pathname]);
    return {
        status: performance.getEntriesByType("navigation")[0].responseStatus,
        failed: performance.getEntriesByType("resource").filter((one) => one.responseStatus >= 400).map((one) => one.name),
        heading: (document.querySelector("h1")?.textContent ?? "").trim(),
        is_framed: document.querySelector(".brand") !== null,
        width: document.documentElement.scrollWidth,
        controls: [...buttons, ...links],
    };
"#;

struct Seen {
    status: u64,
    failed: Vec<String>,
    heading: String,
    is_framed: bool,
    width: u64,
    controls: Vec<(String, String)>,
}

impl Seen {
    fn of(page: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |name: &str| page[name].as_array().cloned().unwrap_or_default();
        Self {
            status: page["status"].as_u64().unwrap_or_default(),
            failed: list("failed").iter().map(text).collect(),
            heading: text(&page["heading"]),
            is_framed: page["is_framed"] == true,
            width: page["width"].as_u64().unwrap_or(u64::MAX),
            controls: list("controls").iter().map(|one| (text(&one[0]), text(&one[1]))).collect(),
        }
    }
}

/// Whether somebody who may look at the first team's things may do that.
fn is_for_viewers(policy: &str) -> bool {
    let policy = Policy::parse(policy).unwrap();
    policy.role == Role::Viewer && policy.subject != Subject::Server
}

/// The line of the list that an address belongs to.
fn line_of(method: &str, path: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let fits = |pattern: &str| {
        let (pattern, parts) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == parts.clone().count()
            && pattern.zip(parts).all(|(wanted, part)| wanted == part || wanted.starts_with('{'))
    };
    PAGES.iter().find(|(of, pattern, _)| *of == method && fits(pattern))
}

async fn open(browser: &Browser, world: &World, path: &str) -> (Seen, Vec<String>) {
    browser.open(&format!("{}{path}", world.server.url)).await;
    let seen = Seen::of(&browser.run(LOOK).await);
    // The browser mentions each page that was refused; whether it should have been is asked elsewhere.
    let own =
        format!("{path} - Failed to load resource: the server responded with a status of {}", seen.status);
    let mut complaints = browser.complaints().await;
    complaints.retain(|complaint| seen.status == 200 || !complaint.contains(&own));
    (seen, complaints)
}

/// Opens all pages as somebody; answers what is wrong, and which lines of the list the controls on them belong to.
async fn walk(
    browser: &Browser,
    world: &World,
    who: &str,
) -> (Vec<String>, BTreeSet<(&'static str, &'static str)>) {
    let persona = world.persona(who);
    let (mut wrong, mut controls) = (Vec::new(), BTreeSet::new());
    let template = [("template", "everybodys".to_owned())];
    // A part of a page has no frame of its own; the page that it belongs to is opened.
    let pages = PAGES.iter().filter(|(method, path, _)| *method == "GET" && !path.ends_with("/fragment"));
    for (_, pattern, policy) in pages {
        let path = world.path(pattern, &template);
        let (seen, complaints) = open(browser, world, &path).await;
        let in_vain = IN_VAIN.iter().find(|(of, _)| of == pattern).map(|(_, status)| *status);
        let wanted = match persona.is_admin || is_for_viewers(policy) {
            true => in_vain.unwrap_or(200),
            false => 403,
        };
        let mut say = |what: String| wrong.push(format!("{path} as {who}: {what}"));
        if seen.status != wanted {
            say(format!("{} instead of {wanted}", seen.status));
        }
        if seen.heading.is_empty() || !seen.is_framed {
            say("no heading or no frame".into());
        }
        if seen.width > WIDTH {
            say(format!("{} pixels wide", seen.width));
        }
        if !seen.failed.is_empty() || !complaints.is_empty() {
            say(format!("{:?} {complaints:?}", seen.failed));
        }
        for (method, path) in &seen.controls {
            match line_of(method, path) {
                Some((method, pattern, policy)) => {
                    controls.insert((*method, *pattern));
                    if !persona.is_admin && !is_for_viewers(policy) {
                        say(format!("leads to {method} {path}, which takes {policy}"));
                    }
                }
                None if method == "POST" => say(format!("leads to POST {path}, which is no page's")),
                None => {}
            }
        }
    }
    (wrong, controls)
}

#[tokio::test]
async fn every_page_is_whole_on_a_phone_and_shows_nobody_what_they_may_not_press() {
    let name = "every page is whole on a phone and shows nobody what they may not press";
    let Some(browser) = Browser::start(name).await else { return };
    let world = World::start().await;
    // The pages are about the templates of all projects.
    let model = json!({ "model": { "name": "everybodys" } });
    world.server.put("/api/v1/templates/everybodys", model).await.expect(200);
    let deployment = world.thing("deployment");
    world.server.wait_deployment(deployment).await;
    browser.become_phone(u32::try_from(WIDTH).unwrap()).await;
    let (mut wrong, mut controls) = (Vec::new(), Vec::new());
    for who in ["owl-viewer", "the administrator"] {
        browser.client.delete_all_cookies().await.unwrap();
        browser.log_in_with(&world.server, &world.persona(who).token).await;
        browser.complaints().await;
        let (found, pressable) = walk(&browser, &world, who).await;
        wrong.extend(found);
        controls.push(pressable);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Otherwise it would prove nothing that viewers see none of them.
    let more = controls[1].difference(&controls[0]).count();
    assert!(more > 25 && controls[0].len() > 5, "{controls:#?}");
}
