//! Plugins from a real registry: pushed, pulled, pinned, signed.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;

use base64::Engine as _;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use windlass::app::plugin_pack::{artefact, plugin_push};
use windlass::app::plugin_tool::plugin_open;
use windlass::plugins::{PluginSource, Plugins, Settings, Source, oci};
use windlass_tests::cli::{command, run};
use windlass_tests::guests::Guest;
use windlass_tests::registry::{PASSWORD, Registry, USER};
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

fn component() -> Vec<u8> {
    Guest::good("guest").build()
}

/// Pushed under a tag; the reference with the manifest's digest.
async fn pushed(registry: &Registry, component: Vec<u8>) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("guest.wasm");
    std::fs::write(&path, &component).unwrap();
    let info = plugin_open(&path.display().to_string()).await.unwrap().info;
    plugin_push(artefact(component, &info), &format!("{}/team/guest", registry.address)).await.unwrap()
}

async fn load(folder: &Path, reference: &str, cosign_key: Option<&Path>) -> Result<String, String> {
    let mut settings = Settings::new(folder.join("plugins"));
    settings.builtin = false;
    let source = PluginSource::new("guest", Source::Oci(reference.into()));
    settings.sources.push(PluginSource { cosign_key: cosign_key.map(Into::into), ..source });
    let plugins = Plugins::start(settings).await.unwrap();
    match plugins.inspect("guest").unwrap() {
        status if status.info.is_some() => Ok(status.digest.unwrap()),
        status => Err(status.error.unwrap()),
    }
}

async fn json_of(url: &str, accept: &str) -> Value {
    reqwest::Client::new().get(url).header("accept", accept).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn what_is_pushed_has_the_layout_that_others_read() {
    let Some(registry) = Registry::start("what is pushed has the layout that others read").await else {
        return;
    };
    let component = component();
    let reference = pushed(&registry, component.clone()).await;
    let digest = reference.split_once('@').unwrap().1;
    let base = format!("http://{}/v2/team/guest", registry.address);
    let manifest =
        json_of(&format!("{base}/manifests/{digest}"), "application/vnd.oci.image.manifest.v1+json").await;
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    let layer = format!("sha256:{}", hex::encode(Sha256::digest(&component)));
    assert_eq!(manifest["layers"][0]["digest"], layer);
    let config =
        json_of(&format!("{base}/blobs/{}", manifest["config"]["digest"].as_str().unwrap()), "*/*").await;
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["layerDigests"], json!([layer]));
    let pulled = oci::pull(&format!("{}/team/guest:1.0.0", registry.address), None).await.unwrap();
    assert_eq!((pulled.reference, pulled.component), (reference, component));
}

#[tokio::test]
async fn a_pinned_plugin_is_fetched_once_and_then_found_without_the_registry() {
    let test = "a pinned plugin is fetched once and then found without the registry";
    let Some(registry) = Registry::start(test).await else { return };
    let component = component();
    let reference = pushed(&registry, component.clone()).await;
    let folder = TempDir::new().unwrap();
    let digest = load(folder.path(), &reference, None).await.unwrap();
    assert_eq!(digest, hex::encode(Sha256::digest(&component)));
    let other = format!("{}@sha256:{}", reference.split_once('@').unwrap().0, "0".repeat(64));
    drop(registry);
    assert_eq!(load(folder.path(), &reference, None).await, Ok(digest));
    // What was not fetched before cannot be had now, and nothing else is taken for it.
    assert!(load(folder.path(), &other, None).await.is_err());
}

#[tokio::test]
async fn with_a_key_only_what_it_signed_runs() {
    let Some(registry) = Registry::start("with a key only what it signed runs").await else { return };
    let reference = pushed(&registry, component()).await;
    let folder = TempDir::new().unwrap();
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let path = folder.path().join("cosign.pub");
    std::fs::write(&path, key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
    let error = load(folder.path(), &reference, Some(&path)).await.unwrap_err();
    assert!(error.contains("no signature of it was found"), "{error}");
    // Somebody else's signature is as good as none.
    sign(&registry, &reference, &SigningKey::from_slice(&[8; 32]).unwrap()).await;
    let error = load(folder.path(), &reference, Some(&path)).await.unwrap_err();
    assert!(error.contains("none of its 1 signatures is by the key"), "{error}");
    sign(&registry, &reference, &key).await;
    load(folder.path(), &reference, Some(&path)).await.unwrap();
    // The signature is kept with the component: a start needs no network.
    drop(registry);
    load(folder.path(), &reference, Some(&path)).await.unwrap();
    std::fs::write(&path, "no key").unwrap();
    assert!(load(folder.path(), &reference, Some(&path)).await.is_err());
}

/// Puts a signature where cosign puts it.
async fn sign(registry: &Registry, reference: &str, key: &SigningKey) {
    let digest = reference.split_once('@').unwrap().1;
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": "" },
            "image": { "docker-manifest-digest": digest },
            "type": "cosign container image signature"
        },
        "optional": null
    });
    let payload = payload.to_string().into_bytes();
    let signature: Signature = key.sign(&payload);
    let signature = base64::engine::general_purpose::STANDARD.encode(signature.to_der());
    let blob = |bytes: &[u8], kind: &str| {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        json!({ "mediaType": kind, "size": bytes.len(), "digest": digest })
    };
    let base = format!("http://{}/v2/team/guest", registry.address);
    let client = reqwest::Client::new();
    for bytes in [payload.clone(), b"{}".to_vec()] {
        let begun = client.post(format!("{base}/blobs/uploads/")).send().await.unwrap();
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let joined = if place.contains('?') { "&" } else { "?" };
        let put = client.put(format!("{place}{joined}digest={digest}")).body(bytes).send().await.unwrap();
        assert_eq!(put.status(), 201);
    }
    let mut layer = blob(&payload, "application/vnd.dev.cosign.simplesigning.v1+json");
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    });
    let tag = digest.replace(':', "-");
    let put = client
        .put(format!("{base}/manifests/{tag}.sig"))
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .body(manifest.to_string());
    assert_eq!(put.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_plugin_is_installed_from_a_registry_and_pinned() {
    let Some(registry) = Registry::start("a plugin is installed from a registry and pinned").await else {
        return;
    };
    let reference = pushed(&registry, component()).await;
    let server = TestServer::start().await;
    let source = format!("oci:{}/team/guest:1.0.0", registry.address);
    let answer = server.post("/api/v1/plugins/install", json!({ "source": source })).await.expect(200);
    assert_eq!(answer["data"]["source"], format!("oci:{reference}"), "the tag became a digest");
    let answer = server.post("/api/v1/plugins/install", json!({ "source": "oci:127.0.0.1:1/a:b" })).await;
    assert_eq!(answer.status, 422);
    let lock = std::fs::read_to_string(server.data().join("windlass.lock")).unwrap();
    assert!(lock.contains(&reference), "{lock}");
}

#[tokio::test]
async fn with_a_key_only_what_it_signed_is_installed() {
    let Some(registry) = Registry::start("with a key only what it signed is installed").await else { return };
    let reference = pushed(&registry, component()).await;
    let folder = TempDir::new().unwrap();
    let (key, path) = (SigningKey::from_slice(&[7; 32]).unwrap(), folder.path().join("cosign.pub"));
    let config = folder.path().join("windlass.toml");
    std::fs::write(&config, format!("[plugin_install]\ncosign_key = \"{}\"\n", path.display())).unwrap();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", &config.display().to_string())]).await;
    let source = json!({ "source": format!("oci:{}/team/guest:1.0.0", registry.address) });
    let install = || server.post("/api/v1/plugins/install", source.clone());
    // There is no such key yet, so nothing is taken.
    let refused = async || {
        let answer = install().await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert_eq!(server.get("/api/v1/plugins/guest").await.status, 404);
        answer.text
    };
    sign(&registry, &reference, &SigningKey::from_slice(&[8; 32]).unwrap()).await;
    let text = refused().await;
    assert!(text.contains("cannot be read"), "{text}");
    std::fs::write(&path, key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
    let text = refused().await;
    assert!(text.contains("none of its 1 signatures is by the key"), "{text}");
    // A file says nothing about who made it.
    let answer = server.post_component("/api/v1/plugins/install", component()).await;
    assert!(answer.status == 422 && answer.text.contains("cosign sign"), "{}", answer.text);
    sign(&registry, &reference, &key).await;
    let answer = install().await.expect(200);
    assert_eq!(answer["data"]["source"], format!("oci:{reference}"));
    // The key that counts is the one that the file names now.
    std::fs::write(&config, "").unwrap();
    server.post_component("/api/v1/plugins/install", component()).await.expect(200);
}

/// The program, run in a folder with the log-ins that are kept there.
fn windlass(folder: &Path, server: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = command(server, ADMIN_TOKEN, words);
    command.current_dir(folder).env("DOCKER_CONFIG", folder);
    let run = run(command);
    (run.code, run.out.trim().to_owned(), run.err.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_is_pushed_with_a_log_in_and_installed_pinned() {
    let test = "what is packed is pushed with a log-in and installed pinned";
    let Some(registry) = Registry::start_private(test).await else { return };
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("guest.wasm"), component()).unwrap();
    let docker_config = folder.path().display().to_string();
    let server = TestServer::start_with(&[("DOCKER_CONFIG", &docker_config)]).await;
    let run = |words: &[&str]| windlass(folder.path(), &server.url, words);
    let (code, packed, _) = run(&["plugin", "pack", "guest.wasm", "-o", "json"]);
    let packed: Value = serde_json::from_str(&packed).unwrap();
    assert_eq!(code, 0);
    let target = format!("{}/team/guest", registry.address);
    // Without a log-in the registry refuses, and says so with what to do.
    let (code, _, said) = run(&["plugin", "push", "guest.oci", &target]);
    assert!(code == 1 && said.contains(&format!("docker login {}", registry.address)), "{code} {said}");
    let log_in = |password: &str| {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        let config = json!({ "auths": { &registry.address: { "auth": auth } } });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    };
    log_in("guess");
    let (code, _, said) = run(&["plugin", "push", "guest.oci", &target]);
    assert!(code == 1 && !said.contains("guess"), "{code} {said}");
    log_in(PASSWORD);
    let (code, pushed, said) = run(&["plugin", "push", "guest.oci", &target]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(pushed, format!("{target}@{}", packed["digest"].as_str().unwrap()), "as it was packed");
    // A component's file gives the same artefact, whatever its tag.
    let (_, again, _) = run(&["plugin", "push", "guest.wasm", &format!("{target}:other"), "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["reference"], pushed);
    let (code, shown, said) = run(&["plugin", "install", &format!("oci:{pushed}")]);
    assert!(code == 0 && shown.contains("Plugin guest 1.0.0: loaded"), "{shown} {said}");
    let plugin = server.get("/api/v1/plugins/guest").await.expect(200);
    assert_eq!(plugin["data"]["source"], format!("oci:{pushed}"));
    assert_eq!(plugin["data"]["digest"], hex::encode(Sha256::digest(component())));
    // What was changed on the way is not pushed.
    let blob = folder.path().join("guest.oci/blobs/sha256").join(hex::encode(Sha256::digest(component())));
    std::fs::write(blob, "something else").unwrap();
    let (code, _, said) = run(&["plugin", "push", "guest.oci", &target]);
    assert!(code == 1 && said.contains("was changed"), "{said}");
}
