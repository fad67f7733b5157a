//! Mails: composed by the plugin, sent by the host, taken by a real mail server.

use serde_json::{Value, json};
use windlass_tests::mail::{MailServer, Mode};
use windlass_tests::server::TestServer;

use super::{channel, ended, failed_deployment, stack, test};

const LOGIN: &str = "ada:correct-horse";

fn settings(to: &[&str]) -> Value {
    json!({ "from": "Windlass <ci@example.org>", "to": to, "reply_to": "ops@example.org" })
}

async fn mail_channel(server: &TestServer, url: &str, more: Value) -> String {
    let mut input = json!({ "plugin": "email", "settings": settings(&["ada@example.org"]),
        "credentials": { "login": LOGIN }, "certificates": MailServer::authority() });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    channel(server, url, input).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_a_mail_over_starttls_after_logging_in() {
    let Some(mails) = MailServer::start("mail over STARTTLS", Mode::StartTls).await else { return };
    let server = TestServer::start().await;
    stack(&server, "web").await;
    let more = json!({ "settings": settings(&["Ada <ada@example.org>", "grace@example.org"]),
        "rules": [{ "events": ["deployment.failed"], "windowSecs": 0,
            "title": "Ünglück\r\nBcc: evil@example.org {{title}}" }] });
    let hook = mail_channel(&server, &mails.url, more).await;
    let (seq, _) = failed_deployment(&server, "web").await;
    let told = ended(&server, &hook, "delivered").await;
    assert_eq!(told["lastStatus"], 250, "{told:#}");
    let all = mails.mails(1).await;
    let [mail] = all.as_slice() else { panic!("{all:#?}") };
    assert_eq!((&mail["tls"], &mail["login"]), (&json!(true), &json!(true)), "{mail:#}");
    assert_eq!(
        (&mail["from"], &mail["to"]),
        (&json!("ci@example.org"), &json!(["ada@example.org", "grace@example.org"]))
    );
    let subject = format!("[Windlass] Failure: Ünglück Bcc: evil@example.org web: deployment {seq} failed");
    assert_eq!((&mail["subject"], &mail["reply_to"]), (&json!(subject), &json!("ops@example.org")));
    assert_eq!(mail["id"], format!("<{}@windlass>", told["id"].as_str().unwrap()));
    assert!(!mail["headers"].as_array().unwrap().contains(&json!("Bcc")), "{mail:#}");
    assert!(mail["text"].as_str().unwrap().contains(&format!("/deployments/{seq}")), "{mail:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls_from_the_first_byte_takes_mails_too() {
    let Some(mails) = MailServer::start("mail over TLS", Mode::Implicit).await else { return };
    let server = TestServer::start().await;
    let hook = mail_channel(&server, &mails.url, json!({})).await;
    let told = test(&server, &hook).await;
    assert_eq!(told["status"], "delivered", "{told:#}");
    let all = mails.mails(1).await;
    assert_eq!((&all[0]["tls"], &all[0]["login"]), (&json!(true), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_server_says_decides_whether_it_is_tried_again() {
    let Some(mails) = MailServer::start("a mail server's answers", Mode::StartTls).await else { return };
    let server = TestServer::start_with(&[("WINDLASS_NOTIFY_RETRY", "1")]).await;
    stack(&server, "web").await;
    let rule = json!([{ "events": ["deployment.failed"], "windowSecs": 0 }]);
    let later = json!({ "settings": settings(&["later@example.org"]), "rules": rule });
    let later = mail_channel(&server, &mails.url, later).await;
    let nobody = json!({ "name": "nobody", "settings": settings(&["nobody@example.org"]) });
    let nobody = mail_channel(&server, &mails.url, nobody).await;
    let wrong = json!({ "name": "wrong", "credentials": { "login": "ada:wrong-password" } });
    let wrong = mail_channel(&server, &mails.url, wrong).await;
    failed_deployment(&server, "web").await;
    let told = ended(&server, &later, "delivered").await;
    assert_eq!(told["attempts"], 2, "{told:#}");
    for (hook, words) in [(&nobody, "nobody of that name"), (&wrong, "535")] {
        let told = test(&server, hook).await;
        let reason = told["reason"].as_str().unwrap();
        assert!(told["status"] == "dead" && reason.contains(words), "{told:#}");
        assert!(!reason.contains("wrong-password"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_never_sent_without_tls_and_not_to_somebody_else() {
    let Some(plain) = MailServer::start("mail without TLS", Mode::Plain).await else { return };
    let Some(tls) = MailServer::start("mail with TLS", Mode::StartTls).await else { return };
    let server = TestServer::start().await;
    let with_login = mail_channel(&server, &plain.url, json!({})).await;
    let told = test(&server, &with_login).await;
    assert!(told["status"] == "dead" && told["reason"].as_str().unwrap().contains("STARTTLS"), "{told:#}");
    // Nobody vouches for the server's certificate.
    let stranger = mail_channel(&server, &tls.url, json!({ "name": "stranger", "certificates": null })).await;
    let told = test(&server, &stranger).await;
    assert_eq!(told["status"], "dead", "{told:#}");
    // A server in a private network that an administrator vouches for may do without either.
    let mut open = settings(&["ada@example.org"]);
    open["login"] = json!(false);
    let open = json!({ "name": "open", "settings": open, "credentials": null });
    let open = mail_channel(&server, &plain.url, open).await;
    assert_eq!(test(&server, &open).await["status"], "delivered");
    let mails = plain.mails(1).await;
    assert_eq!((mails.len(), tls.mails(0).await.len()), (1, 0));
    assert_eq!(mails[0]["login"], false);
}
