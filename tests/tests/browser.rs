//! The dashboard, as a person in a browser meets it.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::json;
use windlass_tests::browser::Browser;
use windlass_tests::fixture::Fixture;
use windlass_tests::guests::Guest;
use windlass_tests::routed::Routed;
use windlass_tests::server::TestServer;
use windlass_tests::vendors::jenkins::{self, Jenkins};

#[tokio::test]
async fn logging_in_with_a_wrong_token_says_why() {
    let Some(browser) = Browser::start("logging in with a wrong token says why").await else { return };
    let server = TestServer::start().await;
    browser.open(&format!("{}/tokens", server.url)).await;
    assert_eq!(browser.client.current_url().await.unwrap().path(), "/login");
    browser.fill("#token", "wl_0000000000000000").await;
    browser.press("form.stack-v button").await;
    browser.wait_text("#token-error", "not valid").await;
    assert!(browser.client.get_all_cookies().await.unwrap().is_empty());
    // The right one leads to where the person wanted to go.
    browser.fill("#token", windlass_tests::server::ADMIN_TOKEN).await;
    browser.press("form.stack-v button").await;
    browser.wait_text("h1", "Tokens").await;
    let cookie = &browser.client.get_all_cookies().await.unwrap()[0];
    assert_eq!(cookie.http_only(), Some(true));
    assert!(format!("{:?}", cookie.same_site()).contains("Strict"));
}

#[tokio::test]
async fn a_stranger_who_guesses_tokens_is_slowed_down() {
    let server = TestServer::start().await;
    let client = reqwest::Client::new();
    let mut last = 0;
    for _ in 0..12 {
        let form = [("token", "wl_guess_guess_guess")];
        let body = format!("{}={}", form[0].0, form[0].1);
        let request = client.post(format!("{}/login", server.url)).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        last = request.send().await.unwrap().status().as_u16();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn creating_a_stack_through_the_form_shows_its_webhook_secret_once() {
    let Some(browser) =
        Browser::start("creating a stack through the form shows its webhook secret once").await
    else {
        return;
    };
    let server = TestServer::start().await;
    browser.log_in(&server).await;
    browser.wait_text(".empty", "windlass stack create").await;
    browser.press(".empty a.button").await;
    browser.fill("#name", "shop").await;
    browser.fill("#url", "https://git.example/team/shop.git").await;
    browser.fill("[name='env.0.name']", "GREETING").await;
    browser.fill("[name='env.0.value']", "hello").await;
    browser.fill("#health_path", "no-slash").await;
    browser.press(".form-foot button").await;
    // The error stands at its field, and nothing that was typed is lost.
    browser.wait_text("#health_path-error", "start with /").await;
    assert_eq!(browser.value("#name").await, "shop");
    assert_eq!(browser.value("[name='env.0.value']").await, "hello");
    browser.fill("#health_path", "/health").await;
    browser.press(".form-foot button").await;
    browser.wait_text("h1", "shop is ready").await;
    let secret = browser.text("#secret").await;
    assert_eq!(secret.len(), 48, "{secret}");
    for page in ["/stacks/shop", "/stacks/shop/edit"] {
        browser.open(&format!("{}{page}", server.url)).await;
        assert!(!browser.client.source().await.unwrap().contains(&secret), "{page} shows the secret");
    }
    assert_eq!(browser.value("[name='env.0.name']").await, "GREETING");
}

#[tokio::test]
async fn a_secret_variable_is_kept_by_an_edit_and_never_shown() {
    let Some(browser) = Browser::start("a secret variable is kept by an edit and never shown").await else {
        return;
    };
    let server = TestServer::start().await;
    let secret = json!({ "name": "API_KEY", "value": "hunter2-hunter2", "secret": true });
    server
        .post("/api/v1/stacks", json!({ "name": "web", "build": { "environmentVariables": [secret] } }))
        .await
        .expect(201);
    browser.log_in(&server).await;
    browser.open(&format!("{}/stacks/web/edit", server.url)).await;
    assert!(!browser.client.source().await.unwrap().contains("hunter2"));
    browser.fill("#description", "changed").await;
    browser.press(".form-foot button").await;
    browser.wait_text("[role=status]", "Saved").await;
    let stack = server.get("/api/v1/stacks/web").await.expect(200);
    assert_eq!(stack["data"]["description"], "changed");
    assert_eq!(stack["data"]["buildConfig"]["environmentVariables"][0]["name"], "API_KEY");
}

#[tokio::test]
async fn the_log_of_a_deployment_appears_while_it_runs() {
    let Some(browser) = Browser::start("the log of a deployment appears while it runs").await else { return };
    let fixture = Fixture::start(true).await;
    fixture.commit("one");
    browser.log_in(&fixture.server).await;
    browser.open(&format!("{}/stacks/web", fixture.server.url)).await;
    browser.press("form[action$='/deploy'] button").await;
    browser.wait_text("h1", "Deployment #1").await;
    // Nobody reloads the page: log, status and timeline come by themselves.
    browser.run("window.untouched = true").await;
    browser.wait_text("#log", "Fetching").await;
    browser.wait_text("#live .badge", "successful").await;
    browser.wait_text("#log", "is successful").await;
    browser.wait_text(".timeline", "Build").await;
    assert_eq!(browser.run("return window.untouched").await, true);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    // No line twice: the log goes on exactly where the page's own text ended.
    let lines = browser
        .run("return [...document.querySelectorAll('#log .line')].map(l => l.textContent.trim())")
        .await;
    let shown: Vec<String> = serde_json::from_value(lines).unwrap();
    let stored = fixture.server.log_of("1").await;
    let stored: Vec<&str> = stored.lines().map(str::trim).collect();
    assert_eq!(shown, stored);
}

#[tokio::test]
async fn a_programs_colours_are_shown_alike_live_and_later_and_its_html_is_text() {
    let Some(browser) = Browser::start("a program's colours are shown alike live and later").await else {
        return;
    };
    let mut fixture = Fixture::start(true).await;
    // It never becomes healthy, so what it has written comes into the log.
    let script = "#!/bin/busybox sh\nb() { /bin/busybox printf \"$@\"; }\n\
        b 'plain \\033[1;31mred\\033[0m \\033[38;5;196;4mmany\\033[0m \\033[7mturned\\033[27m \\033]0;title\\007 end\\n'\n\
        b '<img src=x onerror=\"window.broken=1\"><script>window.broken=1</script>\\n'\n\
        exec /bin/busybox sleep 1000\n";
    fixture.extra.push(("start.sh".into(), "100755", script.into()));
    fixture.commit("one");
    fixture.loses_patience().await;
    browser.log_in(&fixture.server).await;
    browser.open(&format!("{}/stacks/web", fixture.server.url)).await;
    browser.press("form[action$='/deploy'] button").await;
    browser.wait_text("#log", "<img src=x").await;
    browser.wait_text("#live .badge", "failed").await;
    browser.wait_text("#log", "is failed").await;
    let styled =
        "return [...document.querySelectorAll('#log [class^=ansi]')].map(s => [s.className, s.textContent])";
    let text = "return [...document.querySelectorAll('#log .line')].map(l => l.textContent.trim())";
    let live = (browser.run(styled).await, browser.run(text).await);
    let wanted =
        json!([["ansi-1 ansi-bold", "red"], ["ansi-1 ansi-underline", "many"], ["ansi-inverse", "turned"]]);
    assert_eq!(live.0, wanted);
    browser.open(&format!("{}/deployments/1", fixture.server.url)).await;
    assert_eq!((browser.run(styled).await, browser.run(text).await), live);
    assert_eq!(
        browser
            .run("return [document.querySelectorAll('#log img, #log script').length, window.broken ?? 0]")
            .await,
        json!([0, 0])
    );
    // Looked for without regard to case; only lines that have it stay.
    browser.fill("#main [name=find]", "ONERROR=").await;
    browser.press(".log-find button").await;
    browser.wait_text(".log-card", "line has “ONERROR=”").await;
    assert_eq!(browser.run("return document.querySelectorAll('#log .line').length").await, 1);
    browser.fill("#main [name=find]", "nowhere in it").await;
    browser.press(".log-find button").await;
    browser.wait_text(".log-card", "No line has “nowhere in it”").await;
}

#[tokio::test]
async fn rolling_back_names_what_it_goes_back_to_before_it_does() {
    let Some(browser) = Browser::start("rolling back names what it goes back to before it does").await else {
        return;
    };
    let fixture = Fixture::start(true).await;
    fixture.deploy("one").await;
    browser.log_in(&fixture.server).await;
    browser.open(&format!("{}/stacks/web", fixture.server.url)).await;
    assert!(browser.text("#rollback").await.contains("not ready"));
    fixture.deploy("two").await;
    browser.wait_text("#rollback", "#1").await;
    browser.press("#rollback a.button").await;
    browser.wait_text("#confirm-rollback h2", "Roll web back to deployment #1?").await;
    browser.press("#confirm-rollback button").await;
    browser.wait_text("h1", "Deployment #3").await;
    browser.wait_text("#live .badge", "successful").await;
    assert!(fixture.page().await.contains("version one"));
}

#[tokio::test]
async fn a_recorded_call_is_found_from_its_deployment_and_replayed() {
    let Some(browser) = Browser::start("a recorded call is found from its deployment and replayed").await
    else {
        return;
    };
    let fixture = Fixture::start(true).await;
    fixture.deploy("one").await;
    browser.log_in(&fixture.server).await;
    browser.open(&format!("{}/deployments/1", fixture.server.url)).await;
    browser.press("a[href='/plugins/calls?deployment=1']").await;
    browser.wait_text("h1", "for deployment #1").await;
    browser.wait_text("tbody .name-cell", "decide standard").await;
    browser.press("tbody .row-link").await;
    browser.wait_text("#input", "\"health-timeout-ms\"").await;
    browser.press("form[action$='/replay'] button").await;
    browser.wait_text("#replay .badge", "identical").await;
    browser.wait_text("#output", "\"progress\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_shows_who_gets_the_requests_and_goes_on_when_somebody_says_so() {
    let name = "a rollout shows who gets the requests and goes on when somebody says so";
    let Some(browser) = Browser::start(name).await else { return };
    let steps = json!([{ "weight": 30, "seconds": 0, "analysis": false, "approval": true }]);
    let routed =
        Routed::start(json!({ "strategy": "canary", "strategyParams": { "steps": steps, "bake_s": 0 } }))
            .await;
    let fixture = &routed.fixture;
    fixture.deploy("one").await;
    let sha = fixture.commit("two");
    browser.log_in(&fixture.server).await;
    browser.open(&format!("{}/stacks/web", fixture.server.url)).await;
    browser.press("button[formaction$='/plan']").await;
    browser.wait_text("h1", "Plan for web").await;
    browser.wait_text(".table tbody", &sha[..8]).await;
    assert!(browser.text("main").await.contains("Something serves all the time."));

    let number = fixture.push(&sha).await;
    browser.open(&format!("{}/deployments/{number}", fixture.server.url)).await;
    browser.wait_text("#h-question", "The rollout asks").await;
    browser.wait_text(".side.new", "30 %").await;
    browser.wait_text("#split", "70 %").await;
    browser.wait_text("#split", "healthy").await;
    for _ in 0..20 {
        routed.page().await;
    }
    browser.wait_text(".side.new", "Requests").await;
    browser.become_phone(390).await;
    let found = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
    assert!(found.as_i64().unwrap() <= 0, "{found} pixels too wide");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.press("button[value='approve']").await;
    browser.wait_text("#live .badge", "successful").await;
    assert!(routed.page().await.contains(&sha));
    // What it was like stays.
    browser.wait_text("#charts", "Share of the new release").await;
    browser.wait_text("#decided", "Sending 30 % of the requests").await;
    let found = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
    assert!(found.as_i64().unwrap() <= 0, "{found} pixels too wide with the pictures");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_tried_connected_and_its_job_run_with_parameters_and_a_live_log() {
    let name = "a provider is tried, connected, and its job run with parameters and a live log";
    let Some(browser) = Browser::start(name).await else { return };
    let (vendor, server) = (Jenkins::start().await, TestServer::start().await);
    vendor.world().eager = true;
    let (username, token) = jenkins::TOKEN.split_once(':').unwrap();
    browser.log_in(&server).await;
    browser.open(&format!("{}/providers", server.url)).await;
    browser.press(".head a.button").await;
    browser.run("document.getElementById('kind').value = 'jenkins'").await;
    browser.fill("#name", "ci").await;
    browser.fill("#url", &vendor.fake.url).await;
    browser.fill("#username", username).await;
    browser.fill("#secret", "not-the-token").await;
    // Tried with a wrong credential, then with the right one; nothing is stored by it.
    browser.press("[name='test-connection']").await;
    browser.wait_text("#form-error", "credential").await;
    browser.fill("#secret", token).await;
    browser.press("[name='test-connection']").await;
    browser.wait_text("#connection", "takes the credential").await;
    assert_eq!(server.get("/api/v1/providers").await.expect(200)["data"]["items"], json!([]));
    browser.shot("provider-form").await;
    browser.press(".form-foot button.primary").await;
    browser.wait_text("h1", "ci is connected").await;
    let secret = browser.text("#secret").await;
    for page in ["/providers/1", "/providers/1/edit"] {
        browser.open(&format!("{}{page}", server.url)).await;
        let source = browser.client.source().await.unwrap();
        assert!(!source.contains(token) && !source.contains(&secret), "{page} shows a secret");
    }
    // Changed without its credential, it keeps the one it has.
    browser.fill("#tenant", "acme").await;
    browser.press(".form-foot button.primary").await;
    browser.press("form[action$='/test'] button").await;
    browser.wait_text("#provider", "healthy").await;

    browser.press("a[href='/providers/1/jobs/new']").await;
    browser.fill("#name", "web").await;
    browser.fill("#url", "https://git.example/team/app.git").await;
    browser.fill("#scripts", "deploy.sh\n  LEVEL=info").await;
    browser.fill("#hosts", "web-1 192.0.2.10").await;
    browser.press(".form-foot button").await;
    browser.wait_text("#hosts-error", "an environment").await;
    browser.fill("#hosts", "web-1 192.0.2.10 production").await;
    browser.fill("#parameters", "TARGET=staging").await;
    browser.shot("job-form").await;
    browser.press(".form-foot button").await;
    browser.wait_text("h1", "web").await;
    // Of the forms that were refused.
    browser.complaints().await;
    browser.fill("#values", "TARGET=qa").await;
    browser.shot("job").await;
    browser.press("form[action$='/trigger'] button").await;
    browser.wait_text("h1", "Build #1").await;
    browser.run("window.untouched = true").await;
    browser.wait_text("#ci-status", "running").await;
    let sent = vendor.world().build("web", 1).parameters.clone();
    assert!(sent.contains(&("TARGET".into(), "qa".into())), "{sent:?}");
    vendor.world().build("web", 1).write("it is deployed\n");
    browser.wait_text("#log", "it is deployed").await;
    vendor.world().build("web", 1).artifacts.insert("out/report.txt".into(), b"all well".to_vec());
    vendor.world().build("web", 1).finish("SUCCESS");
    browser.wait_text("#ci-status", "success").await;
    assert_eq!(browser.run("return window.untouched").await, true);
    browser.shot("ci-build").await;
    browser.open(&format!("{}/ci-builds/1/artifacts", server.url)).await;
    browser.wait_text("tbody", "out/report.txt").await;

    browser.open(&format!("{}/ci-jobs/1/schedules", server.url)).await;
    browser.fill("#name", "nightly").await;
    browser.fill("#cron", "@daily").await;
    browser.press(".form-foot button").await;
    browser.wait_text("tbody", "nightly").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    for page in ["/providers", "/providers/new", "/providers/1/jobs/new", "/ci-jobs/1", "/ci-builds/1"] {
        for width in [360, 1280] {
            browser.become_phone(width).await;
            browser.open(&format!("{}{page}", server.url)).await;
            let found = browser.run("return document.documentElement.scrollWidth").await;
            assert!(found.as_u64().unwrap() <= width.into(), "{page} is {found} pixels wide at {width}");
            browser.shot(&format!("{}-{width}", page.replace('/', "_"))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_given_to_a_provider_and_taken_back() {
    let Some(browser) = Browser::start("a stack is given to a provider and taken back").await else { return };
    let (vendor, server) = (Jenkins::start().await, TestServer::start().await);
    vendor.world().eager = true;
    for name in ["ci", "spare"] {
        let provider = json!({
            "type": "jenkins", "name": name, "url": vendor.fake.url, "credentials": { "token": jenkins::TOKEN },
        });
        server.post("/api/v1/providers", provider).await.expect(201);
    }
    let repository =
        json!({ "url": "https://git.example/team/app.git", "branch": "main", "provider": "generic" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    browser.log_in(&server).await;
    browser.open(&format!("{}/stacks/web", server.url)).await;
    browser.press("a[href$='/ci']").await;
    browser.press(".form-foot button").await;
    // It has to do something.
    browser.wait_text("[role=alert]", "scripts").await;
    browser.complaints().await;
    browser.fill("#scripts", "deploy.sh").await;
    browser.fill("#values", "TARGET=production").await;
    browser.fill("#parameters", "TARGET=staging").await;
    let choose = |id: &str, text: &str| {
        format!(
            "const s = document.getElementById('{id}'); s.value = [...s.options].find(o => o.text === '{text}').value"
        )
    };
    browser.run(&choose("provider", "ci")).await;
    browser.run(&choose("second", "spare")).await;
    browser.fill("#after", "300").await;
    for width in [360, 1280] {
        browser.become_phone(width).await;
        browser.shot(&format!("stack-ci-{width}")).await;
    }
    browser.press(".form-foot button").await;
    browser.wait_text("[role=status]", "Saved").await;
    let stored = server.get("/api/v1/stacks/web/ci").await.expect(200)["data"].clone();
    assert_eq!((&stored["provider"], &stored["parameters"]["TARGET"]), (&json!("ci"), &json!("production")));
    assert_eq!(stored["job"]["failover"]["after_secs"], 300, "{stored}");
    // What the form does not show is kept by it.
    browser.open(&format!("{}/stacks/web/ci", server.url)).await;
    assert_eq!(browser.value("#scripts").await, "deploy.sh\n");
    browser.press(".form-foot button").await;
    browser.wait_text("[role=status]", "Saved").await;
    let again = server.get("/api/v1/stacks/web/ci").await.expect(200)["data"].clone();
    assert_eq!(again, stored);
    browser.open(&format!("{}/stacks/web/ci", server.url)).await;
    browser.press("[data-dialog='confirm-remove']").await;
    browser.press("#confirm-remove button").await;
    browser.wait_text("main", "Built and deployed by this server").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Every page with something on it.
async fn pages(fixture: &Fixture) -> Vec<String> {
    let sha = fixture.commit("one");
    let deployment = fixture.push(&sha).await;
    fixture.server.wait_deployment(&deployment).await;
    fixture.deploy("broken").await;
    let model = json!({ "name": "deploy", "repository": { "url": "https://git.example/a.git", "branch": "main" },
        "scripts": [{ "path": "scripts/deploy.sh" }] });
    let channel = json!({ "name": "chat", "plugin": "webhook-notify", "url": "https://127.0.0.1:9/hook",
        "rules": [{ "events": ["deployment.failed"] }] });
    let made = fixture.server.post("/api/v1/teams/default/channels", channel).await.expect(201);
    let channel = made["data"]["channel"]["seq"].to_string();
    fixture.server.post(&format!("/api/v1/channels/{channel}/test"), json!({})).await.expect(200);
    fixture.server.put("/api/v1/templates/deploy", json!({ "model": model })).await.expect(200);
    let events = fixture.server.get("/api/v1/webhooks").await.expect(200);
    let event = events["data"]["items"][0]["id"].as_str().unwrap().to_string();
    let fixed = [
        "/",
        "/deployments",
        "/stacks/new",
        "/stacks/web",
        "/stacks/web/edit",
        "/stacks/web/plan",
        "/stacks/web/protection",
        "/stacks/web/commits",
        "/stacks/web/files",
        "/stacks/web/files?file=Dockerfile",
        "/people",
        "/deployments/1",
        "/deployments/2",
    ];
    let templates = ["/templates", "/template/new", "/templates/deploy", "/templates/deploy?diff=1"];
    let more = [
        "/webhooks",
        "/plugins",
        "/plugins/calls",
        "/plugins/calls/1",
        "/tokens",
        "/audit",
        "/backups",
        "/hosts",
        "/security",
        "/status",
    ];
    let all = fixed.into_iter().chain(templates).chain(more).map(str::to_string);
    let told = ["/notifications".to_owned(), format!("/notifications/{channel}")];
    all.chain([format!("/webhooks/{event}")]).chain(told).collect()
}

#[tokio::test]
async fn no_page_scrolls_sideways_on_a_phone_or_complains_in_the_console() {
    let name = "no page scrolls sideways on a phone or complains in the console";
    let Some(browser) = Browser::start(name).await else { return };
    let fixture = Fixture::start(true).await;
    let pages = pages(&fixture).await;
    browser.log_in(&fixture.server).await;
    for width in [360, 1600] {
        browser.become_phone(width).await;
        for page in &pages {
            browser.open(&format!("{}{page}", fixture.server.url)).await;
            assert!(!browser.text("h1").await.is_empty(), "{page} has no heading");
            // Not compared with the window: a phone's grows with a page that is too wide for it.
            let found = browser.run("return document.documentElement.scrollWidth").await;
            assert!(found.as_u64().unwrap() <= width.into(), "{page} is {found} pixels wide at {width}");
            assert_eq!(browser.complaints().await, Vec::<String>::new(), "{page}");
        }
    }
}

#[tokio::test]
async fn pages_work_without_a_script() {
    let Some(browser) = Browser::start("pages work without a script").await else { return };
    let fixture = Fixture::start(true).await;
    fixture.deploy("one").await;
    browser.log_in(&fixture.server).await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    browser.open(&format!("{}/deployments/1", fixture.server.url)).await;
    assert!(browser.text("#log").await.contains("is successful"));
    browser.open(&format!("{}/stacks/web", fixture.server.url)).await;
    browser.press("a[href='#confirm-delete']").await;
    browser.wait_text("#confirm-delete h2", "Delete web?").await;
    browser.press("#confirm-delete button").await;
    browser.wait_text("h2", "No stacks yet").await;
    assert!(fixture.server.containers().is_empty());
}

#[tokio::test]
async fn pages_carry_a_strict_policy_and_errors_keep_the_frame() {
    let server = TestServer::start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = |path: &str| {
        client.get(format!("{}{path}", server.url)).bearer_auth(windlass_tests::server::ADMIN_TOKEN)
    };
    let answer = get("/").send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_string();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    let style = page
        .split("href=\"")
        .find_map(|rest| rest.split('"').next().filter(|path| path.ends_with(".css")))
        .unwrap();
    let asset = get(style).send().await.unwrap();
    assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let missing = get("/stacks/nothing").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    assert!(missing.text().await.unwrap().contains("class=\"brand\""));
    let stranger = client.get(format!("{}/stacks/web?before=3", server.url)).send().await.unwrap();
    assert_eq!(stranger.headers()["location"], "/login?next=/stacks/web%3Fbefore%3D3");
    // A program that mistypes a route gets an answer for programs.
    let answer = get("/api/v1/nothing").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn a_plugin_is_disabled_after_a_question_and_enabled_again() {
    let test = "a plugin is disabled after a question and enabled again";
    let Some(browser) = Browser::start(test).await else { return };
    let server = TestServer::start().await;
    browser.log_in(&server).await;
    browser.open(&format!("{}/plugins", server.url)).await;
    browser.wait_text("#plugins .table", "deployment-strategy").await;
    browser.press("a.row-link[href='/plugins/standard']").await;
    browser.wait_text("#plugin .badge", "loaded").await;
    browser.press("[data-dialog=disable]").await;
    browser.press("#disable button").await;
    browser.wait_text("#plugin .badge", "disabled").await;
    browser.wait_text("#plugin pre", "it is disabled").await;
    let shown = server.get("/api/v1/plugins/standard").await.expect(200);
    assert_eq!(shown["data"]["reason"], "disabled by admin");
    // Nobody reloads the page for what happens elsewhere.
    server.post("/api/v1/plugins/standard/enable", serde_json::Value::Null).await.expect(200);
    browser.wait_text("#plugin .badge", "loaded").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_plugin_asks_for_is_shown_and_granted_on_its_page() {
    let test = "what a plugin asks for is shown and granted on its page";
    let Some(browser) = Browser::start(test).await else { return };
    let server = TestServer::start().await;
    let guest = Guest::good("guest").asking("token").build();
    server.post_component("/api/v1/plugins/install", guest).await.expect(200);
    browser.log_in(&server).await;
    browser.open(&format!("{}/plugins/guest", server.url)).await;
    browser.wait_text("#plugin .badge", "waits for approval").await;
    browser.wait_text("#h-missing + p + ul", "credential:token").await;
    browser.press("form[action$='/approve'] button").await;
    browser.wait_text("#plugin .badge", "loaded").await;
    browser.wait_text("#plugin dl", "passed the suite").await;
    // What the next one asks for is shown beside what the one that runs does.
    let guest = Guest::good("guest").asking("other").build();
    server.post_component("/api/v1/plugins/install", guest).await.expect(200);
    browser.wait_text("#ask-change", "credential:other").await;
    browser.wait_text("#ask-change", "credential:token").await;
    // What was installed can be removed, and only that.
    browser.press("a[data-dialog='remove']").await;
    browser.press("#remove form button").await;
    browser.wait_text("h1", "Plugins").await;
    assert_eq!(server.get("/api/v1/plugins/guest").await.status, 404);
    browser.open(&format!("{}/plugins/generic", server.url)).await;
    browser.wait_text("#plugin dl", "nothing beyond its kind").await;
    assert_eq!(browser.run("return document.querySelectorAll('#remove').length").await, 0);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_template_shows_every_generators_file_while_it_is_typed() {
    let test = "a template shows every generator's file while it is typed";
    let Some(browser) = Browser::start(test).await else { return };
    let server = TestServer::start().await;
    browser.log_in(&server).await;
    browser.open(&format!("{}/templates", server.url)).await;
    browser.press(".empty a.button").await;
    for generator in windlass_tests::pipelines::GENERATORS {
        browser.wait_text("#preview", generator).await;
    }
    browser.fill("#values", r#"{"service": "it's typed"}"#).await;
    browser.wait_text("#preview", "name: deploy it's typed").await;
    browser.fill("#values", "{").await;
    browser.wait_text("#preview .notice", "not the JSON").await;
    // What was not saved is kept as it was typed.
    browser.fill("#name", "a b").await;
    browser.press("button.primary").await;
    browser.wait_text(".notice.bad", "Not saved").await;
    assert_eq!(browser.value("#values").await, "{");
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("422")), "{complaints:?}");
    browser.fill("#values", "").await;
    browser.fill("#name", "deploy").await;
    browser.press("button.primary").await;
    browser.wait_text("h1", "deploy").await;
    browser.fill("#description", "better").await;
    browser.press("button.primary").await;
    browser.wait_for("a[href='/templates/deploy?diff=2']").await;
    browser.press("a[href='/templates/deploy?diff=2']").await;
    browser.wait_text(".diff ins", "better").await;
    browser.press("[data-dialog=delete]").await;
    browser.press("#delete button").await;
    browser.wait_text("h2", "No templates yet").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
