//! Logging in through an OpenID provider that others have written, with a real browser where there is one.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::browser::Browser;
use windlass_tests::port::free_port;
use windlass_tests::server::TestServer;
use windlass_tests::tools::{root, tool};

/// The provider's process; it ends with the test.
struct Provider {
    issuer: String,
    child: Child,
    /// It says more than its address, and would end if nobody could hear it.
    _said: BufReader<ChildStdout>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn provider(test: &str, redirect: &str) -> Option<Provider> {
    let (node, folder) = (tool("oidc", "node", test)?, tool("oidc", "provider", test)?);
    let script = root().join("tests/tests/watch/oidc.mjs");
    let mut child = Command::new(node)
        .arg(script)
        .args([folder.trim(), redirect])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut issuer = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut issuer).unwrap();
    assert!(issuer.starts_with("http://"), "the provider does not start");
    Some(Provider { issuer: issuer.trim().to_owned(), child, _said: said })
}

struct World {
    server: TestServer,
    _provider: Provider,
    _folder: tempfile::TempDir,
}

/// A server with these rules, and the provider that it trusts.
async fn world(test: &str, rules: &str) -> Option<World> {
    let listen = format!("127.0.0.1:{}", free_port());
    let provider = provider(test, &format!("http://{listen}/login/oidc/callback"))?;
    let folder = tempfile::tempdir().unwrap();
    let config: PathBuf = folder.path().join("windlass.toml");
    let text = format!(
        "[oidc]\nissuer = \"{}\"\nclient_id = \"windlass\"\nprivate_network = true\nlabel = \"Log in with us\"\n{rules}\n",
        provider.issuer
    );
    std::fs::write(&config, text).unwrap();
    let server = TestServer::start_with(&[
        ("WINDLASS_CONFIG", config.to_str().unwrap()),
        ("WINDLASS_LISTEN", &listen),
        ("WINDLASS_OIDC_CLIENT_SECRET", "a-secret-of-the-client"),
    ])
    .await;
    Some(World { server, _provider: provider, _folder: folder })
}

impl World {
    /// Logs in at the provider as that person, and lets the server have what it asks for.
    async fn sign_on(&self, browser: &Browser, person: &str) {
        browser.open(&format!("{}/login", self.server.url)).await;
        browser.press("#sign-on").await;
        self.at_the_provider(browser, person).await;
    }

    /// The same with an invitation.
    async fn come_invited(&self, browser: &Browser, person: &str, name: &str, invitation: &str) {
        browser.open(&format!("{}/invitation", self.server.url)).await;
        browser.fill("#invitation", invitation).await;
        browser.fill("#name", name).await;
        browser.press("#invited-sign-on").await;
        if !person.is_empty() {
            self.at_the_provider(browser, person).await;
        }
    }

    async fn invite(&self, team: &str, name: &str) -> String {
        let path = format!("/api/v1/teams/{team}/invitations");
        let made = self.server.post(&path, json!({ "name": name, "role": "deployer" })).await.expect(201);
        made["data"]["secret"].as_str().unwrap().to_owned()
    }

    async fn at_the_provider(&self, browser: &Browser, person: &str) {
        browser.fill("input[name=login]", person).await;
        browser.fill("input[name=password]", "any").await;
        browser.press("button[type=submit]").await;
        // What the server will learn is shown, and agreed to.
        browser.wait_text("body", "Authorize").await;
        browser.press("button[type=submit]").await;
    }

    async fn members(&self) -> Value {
        self.server.get("/api/v1/teams/owls/members").await.expect(200)["data"].clone()
    }
}

const RULES: &str = "rules = [{ email = \"*@example.org\", team = \"owls\", role = \"developer\" }, \
                     { group = \"ops\", team = \"owls\", role = \"deployer\" }]";

#[tokio::test]
async fn a_person_whom_a_rule_fits_gets_an_account_and_their_role_and_others_stay_outside() {
    let test = "a person whom a rule fits gets an account";
    let Some(browser) = Browser::start(test).await else { return };
    let Some(world) = world(test, RULES).await else { return };
    world.server.post("/api/v1/teams", json!({ "name": "owls" })).await.expect(201);
    world.sign_on(&browser, "ada").await;
    browser.wait_text(".who-name", "ada").await;
    let members = world.members().await;
    assert_eq!(
        (&members[0]["user"], &members[0]["role"]),
        (&json!("ada"), &json!("developer")),
        "{members:#}"
    );
    // She is known by now: the same account, however often.
    browser.press(".who button").await;
    browser.wait_text("h1", "Log in").await;
    browser.press("#sign-on").await;
    browser.wait_text(".who-name", "ada").await;
    let users = world.server.get("/api/v1/users").await.expect(200)["data"].clone();
    assert_eq!(users.as_array().unwrap().len(), 2, "{users:#}");
    // It is in the record, like a log-in by password.
    let entries = world.server.get("/api/v1/audit?action=login&actor=ada").await.expect(200);
    assert_eq!(entries["data"]["items"][0]["outcome"], "done", "{entries:#}");
}

#[tokio::test]
async fn an_address_that_nobody_has_verified_fits_no_rule() {
    let test = "an address that nobody has verified fits no rule";
    let Some(browser) = Browser::start(test).await else { return };
    let Some(world) = world(test, RULES).await else { return };
    world.server.post("/api/v1/teams", json!({ "name": "owls" })).await.expect(201);
    world.sign_on(&browser, "mallory").await;
    browser.wait_text("#sign-on-error", "no rule fits").await;
    assert_eq!(world.members().await, json!([]));
    let users = world.server.get("/api/v1/users").await.expect(200)["data"].clone();
    assert_eq!(users.as_array().unwrap().len(), 1, "{users:#}");
}

#[tokio::test]
async fn a_group_gives_its_role_and_passwords_can_be_switched_off() {
    let test = "a group gives its role and passwords can be switched off";
    let Some(browser) = Browser::start(test).await else { return };
    let Some(world) = world(test, &format!("password_login = false\n{RULES}")).await else { return };
    world.server.post("/api/v1/teams", json!({ "name": "owls" })).await.expect(201);
    browser.open(&format!("{}/login", world.server.url)).await;
    assert!(!browser.client.source().await.unwrap().contains("by-password"));
    let by_password = world
        .server
        .stranger(Method::POST, "/api/v1/sessions")
        .json(&json!({ "name": "admin", "password": "whatever it is" }));
    assert_eq!(by_password.send().await.unwrap().status().as_u16(), 403);
    world.sign_on(&browser, "grace").await;
    browser.wait_text(".who-name", "grace").await;
    assert_eq!(world.members().await[0]["role"], "deployer");
}

#[tokio::test]
async fn an_invitation_leads_in_whom_no_rule_fits_once_and_under_its_own_name() {
    let test = "an invitation leads in whom no rule fits";
    let Some(browser) = Browser::start(test).await else { return };
    let Some(world) = world(test, RULES).await else { return };
    for team in ["owls", "foxes"] {
        world.server.post("/api/v1/teams", json!({ "name": team })).await.expect(201);
    }
    let invitation = world.invite("foxes", "mal").await;
    world.come_invited(&browser, "", "another", &invitation).await;
    browser.wait_text("form", "used, withdrawn or too old").await;
    // Her address is verified by nobody, and no rule fits her.
    world.come_invited(&browser, "mallory", "mal", &invitation).await;
    browser.wait_text(".who-name", "mal").await;
    let foxes = world.server.get("/api/v1/teams/foxes/members").await.expect(200)["data"].clone();
    assert_eq!((&foxes[0]["user"], &foxes[0]["role"]), (&json!("mal"), &json!("deployer")), "{foxes:#}");
    // She is known now, by what the provider says of her.
    browser.press(".who button").await;
    browser.press("#sign-on").await;
    browser.wait_text(".who-name", "mal").await;
    browser.press(".who button").await;
    browser.wait_text("h1", "Log in").await;
    world.come_invited(&browser, "", "mal", &invitation).await;
    browser.wait_text("form", "used, withdrawn or too old").await;
    // Where rules decide, an invitation would be undone with the next log-in.
    let ruled = world.invite("owls", "mal").await;
    world.come_invited(&browser, "", "mal", &ruled).await;
    browser.wait_text("#sign-on-error", "rules decide").await;
}

#[tokio::test]
async fn what_was_not_begun_in_this_browser_is_not_ended_in_it() {
    let Some(world) = world("what was not begun in this browser", RULES).await else { return };
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = |path: &str| format!("{}{path}", world.server.url);
    let begun = client.get(url("/login/oidc?next=//evil.example")).send().await.unwrap();
    assert_eq!(begun.status().as_u16(), 303);
    let away = begun.headers()["location"].to_str().unwrap().to_owned();
    for part in ["response_type=code", "code_challenge_method=S256", "nonce=", "state=", "scope=openid"] {
        assert!(away.contains(part), "{part}: {away}");
    }
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let kept = cookie.split(';').next().unwrap().to_owned();
    let (name, sealed) = kept.split_once('=').unwrap();
    let state = away.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let flipped = format!("{name}={}x", &sealed[..sealed.len() - 1]);
    for (cookie, query) in [
        (String::new(), format!("code=x&state={state}")),
        (kept.clone(), "code=x&state=other".to_owned()),
        (kept.clone(), "code=x".to_owned()),
        (flipped, format!("code=x&state={state}")),
        // The state is right, and the provider knows no such code.
        (kept.clone(), format!("code=made-up&state={state}")),
        (kept.clone(), "error=access_denied".to_owned()),
    ] {
        let back = client.get(url(&format!("/login/oidc/callback?{query}"))).header("cookie", &cookie);
        let answer = back.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{query}");
        let set: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert!(set.iter().all(|value| !value.to_str().unwrap().starts_with("windlass_token=")), "{query}");
    }
}

#[tokio::test]
async fn a_server_without_a_provider_offers_none() {
    let server = TestServer::start().await;
    let page = server.stranger(Method::GET, "/login").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("sign-on"));
    for path in ["/login/oidc", "/login/oidc/callback?code=x&state=y"] {
        assert_eq!(server.stranger(Method::GET, path).send().await.unwrap().status().as_u16(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_provider_inside_is_not_asked_unless_the_operator_says_that_it_is_his() {
    let asked = windlass_tests::peer::Peer::start(|_| windlass_tests::peer::text(200, "{}")).await;
    let issuer = format!("https://{}", asked.address);
    let server = TestServer::start_with(&[
        ("WINDLASS_OIDC_ISSUER", issuer.as_str()),
        ("WINDLASS_OIDC_CLIENT_ID", "windlass"),
    ])
    .await;
    let answer = server.stranger(Method::GET, "/login/oidc").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(asked.seen().is_empty());
}
