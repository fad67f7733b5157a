//! A component that does not fit is refused with what differs, where, in which versions, and what to install.

use tempfile::TempDir;
use windlass::plugins::{PluginSource, Plugins, Settings, Source};
use windlass_tests::guests::Guest;

/// Why the guest is not loaded.
async fn refusal(guest: Guest) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("guest.wasm");
    guest.write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.sources.push(PluginSource::new("guest", Source::Path(path)));
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    plugins.inspect("guest").expect("it is listed").error.expect("it is refused")
}

fn strategy() -> Guest {
    Guest::strategy("guest", "unreachable")
}

fn forge() -> Guest {
    Guest::forge("guest", "unreachable")
}

fn assert_parts(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "`{part}` is missing: {error}");
    }
}

#[tokio::test]
async fn another_field_case_or_function_is_named_with_interface_and_both_shapes() {
    let interface = "windlass:deployment-strategy/strategy@0.1.0";
    for (from, to, parts) in [
        ("progress: u8", "progress: u16", ["`decide`", "progress", "`u8`", "`u16`"]),
        (
            "wake-after: option<u64>",
            "sleep-for: option<u64>",
            ["`decide`", "wake-after", "sleep-for", "0.1.0"],
        ),
        (
            "    restarts: u32,\n",
            "    restarts: u32,\n    mood: u8,\n",
            ["`decide`", "fields", "expected", "found"],
        ),
        (
            "    drain(release-id),\n",
            "    drain(release-id),\n    burn,\n",
            ["`decide`", "cases", "expected", "found"],
        ),
    ] {
        let error = refusal(strategy().replacing(from, to)).await;
        assert_parts(&error, &[interface, "the host's version 0.1.0", "windlass-sdk 0.1"]);
        assert_parts(&error, &parts);
    }
}

#[tokio::test]
async fn a_missing_function_is_named() {
    let error = refusal(strategy().replacing("validate", "inspect")).await;
    assert_parts(
        &error,
        &["windlass:deployment-strategy/strategy@0.1.0", "without the function `validate`", "0.1.0"],
    );
}

#[tokio::test]
async fn a_host_function_of_another_type_is_named() {
    let guest = forge()
        .with_import(
            "(import \"windlass:host/log@0.1.0\" \"emit\" (func $log (param i32 i32 i32)))",
            "import windlass:host/log@0.1.0;",
            None,
        )
        .replacing(
            "emit: func(level: level, message: string, fields: extras)",
            "emit: func(level: level, message: string)",
        );
    let error = refusal(guest).await;
    assert_parts(
        &error,
        &["imports `windlass:host/log@0.1.0`", "another `emit`", "the host's version 0.1.0"],
    );
}

#[tokio::test]
async fn a_function_that_this_host_does_not_offer_is_named() {
    let guest = forge()
        .with_import(
            "(import \"windlass:host/log@0.1.0\" \"flush\" (func $flush))",
            "import windlass:host/log@0.1.0;",
            None,
        )
        .replacing("  emit: func(", "  flush: func();\n  emit: func(");
    let error = refusal(guest).await;
    assert_parts(&error, &["`flush`", "windlass:host/log@0.1.0", "no such function"]);
}

#[tokio::test]
async fn an_interface_that_this_host_does_not_offer_asks_for_a_newer_windlass() {
    let guest = forge().with_import(
        "(import \"windlass:state/store@0.1.4\" \"get\" (func (result i32)))",
        "import windlass:state/store@0.1.4;",
        Some("package windlass:state@0.1.4; interface store { get: func() -> u32; }"),
    );
    let error = refusal(guest).await;
    assert_parts(
        &error,
        &["windlass:state/store", "0.1.4", "does not have", "install a Windlass that speaks 0.1.4"],
    );
}

#[tokio::test]
async fn a_version_from_the_future_and_one_from_the_past_are_told_apart() {
    let error = refusal(strategy().replacing("@0.1.0", "@0.2.0")).await;
    assert_parts(
        &error,
        &["strategy` 0.2.0", "this host has version 0.1.0", "install a Windlass that speaks 0.2.0"],
    );
    let error = refusal(strategy().replacing("@0.1.0", "@1.0.0")).await;
    assert_parts(&error, &["strategy` 1.0.0", "install a Windlass that speaks 1.0.0"]);
    let error = refusal(strategy().replacing("@0.1.0", "@0.0.9")).await;
    assert_parts(
        &error,
        &["strategy` 0.0.9", "this host has version 0.1.0", "was built with windlass-sdk 0.1"],
    );
    assert!(!error.contains("speaks 0.0.9"), "{error}");
}

#[tokio::test]
async fn a_kind_that_does_not_exist_is_answered_with_those_that_do() {
    let error =
        refusal(strategy().replacing("windlass:deployment-strategy", "windlass:fortune-teller")).await;
    assert_parts(
        &error,
        &[
            "windlass:fortune-teller/strategy@0.1.0",
            "nothing that this host can use",
            "windlass:ci-provider/provider@0.1.0",
            "windlass:notifier/renderer@0.1.0",
        ],
    );
}

#[tokio::test]
async fn an_addition_without_its_kind_is_refused() {
    // The same function under the name of an optional interface of providers.
    let error = refusal(
        forge()
            .replacing("windlass:git-forge/forge", "windlass:ci-provider/webhooks")
            .replacing("package windlass:git-forge@0.1.0;", "package windlass:ci-provider@0.1.0;")
            .replacing("interface forge {", "interface webhooks {")
            .replacing("export forge;", "export webhooks;")
            .replacing("parse-webhook", "parse"),
    )
    .await;
    assert_parts(
        &error,
        &["windlass:ci-provider/webhooks", "windlass:ci-provider/provider", "not the latter"],
    );
}
