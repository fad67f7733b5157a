use super::*;
use crate::domain::plugin::TimestampRule;

/// When the Standard Webhooks vector was signed.
const NOW: UnixMs = 1_731_705_121_000;
const BODY: &[u8] = b"Hello, World!";
const SECRET: &[u8] = b"It's a Secret to Everybody";
/// Published by GitHub for this secret and body.
const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn scheme(algorithm: &str, header: &str, prefix: &str, encoding: &str, signed: &str) -> WebhookScheme {
    WebhookScheme {
        name: format!("{algorithm} in {header}"),
        algorithm: algorithm.into(),
        header: header.into(),
        prefix: prefix.into(),
        encoding: encoding.into(),
        signed: signed.into(),
        separator: None,
        timestamp: None,
        secret_prefix: None,
    }
}

fn contract(schemes: Vec<WebhookScheme>) -> WebhookContract {
    WebhookContract { schemes, delivery_headers: Vec::new(), event_headers: Vec::new() }
}

fn hex_contract() -> WebhookContract {
    contract(vec![scheme("hmac-sha256", "x-hub-signature-256", "sha256=", "hex", "{body}")])
}

fn token_contract() -> WebhookContract {
    contract(vec![scheme("shared-token", "x-gitlab-token", "", "plain", "")])
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Verifies `BODY` under `SECRET`.
fn signed_with(contract: &WebhookContract, pairs: &[(&str, &str)]) -> Result<usize, SignatureError> {
    verify(contract, &headers(pairs), BODY, &[SECRET], NOW)
}

fn base64_of_signature() -> String {
    let bytes = hmac(SECRET, &[BODY]).unwrap_or_default();
    STANDARD.encode(bytes)
}

#[test]
fn published_signatures_are_genuine() {
    let rows: [(&str, &str, &str, &str, &str); 6] = [
        ("x-hub-signature-256", "sha256=", "It's a Secret to Everybody", "Hello, World!", SIGNED),
        (
            "x-hub-signature",
            "sha256=",
            "It's a Secret to Everybody",
            "Hello World!",
            "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
        ),
        (
            "circleci-signature",
            "v1=",
            "secret",
            "hello world",
            "v1=734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a",
        ),
        (
            "circleci-signature",
            "v1=",
            "another-secret",
            "lalala",
            "v1=daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00",
        ),
        (
            "circleci-signature",
            "v1=",
            "hunter123",
            "an-important-request-payload",
            "v1=9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
        ),
        (
            "circleci-signature",
            "v1=",
            "secret",
            "foo",
            "v1=773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4",
        ),
    ];
    for (header, prefix, secret, body, value) in rows {
        let contract = contract(vec![scheme("hmac-sha256", header, prefix, "hex", "{body}")]);
        let result =
            verify(&contract, &headers(&[(header, value)]), body.as_bytes(), &[secret.as_bytes()], NOW);
        assert_eq!(result, Ok(0), "{header} {secret}");
    }
}

/// As `WebhookScheme::standard_webhooks` of the SDK has it.
fn standard_contract() -> WebhookContract {
    let signed = "{header:webhook-id}.{header:webhook-timestamp}.{body}";
    let mut scheme = scheme("hmac-sha256", "webhook-signature", "v1,", "base64", signed);
    scheme.separator = Some(' ');
    scheme.timestamp = Some(TimestampRule { header: "webhook-timestamp".into(), tolerance_secs: 300 });
    scheme.secret_prefix = Some("whsec_".into());
    contract(vec![scheme])
}

const STANDARD_SECRET: &[u8] = b"whsec_plJ3nmyCDGBKInavdOK15jsl";
const STANDARD_BODY: &[u8] = br#"{"event_type":"ping","data":{"success":true}}"#;
const STANDARD_SIGNED: &str = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";

/// Verifies the published vector with some headers replaced, at a time.
fn standard(replaced: &[(&str, &str)], now: UnixMs) -> Result<usize, SignatureError> {
    let mut sent = vec![
        ("webhook-id", "msg_loFOjxBNrRLzqYUf"),
        ("webhook-timestamp", "1731705121"),
        ("webhook-signature", STANDARD_SIGNED),
    ];
    for (name, value) in replaced {
        sent.retain(|(known, _)| known != name);
        if !value.is_empty() {
            sent.push((name, value));
        }
    }
    verify(&standard_contract(), &headers(&sent), STANDARD_BODY, &[STANDARD_SECRET], now)
}

#[test]
fn what_we_sign_is_the_published_vector() {
    let ours = standard_webhooks_of(STANDARD_SECRET);
    assert_eq!(ours.as_deref(), Some(STANDARD_SIGNED));
    assert_eq!(standard_webhooks_of(b"no secret of theirs"), None);
}

fn standard_webhooks_of(secret: &[u8]) -> Option<String> {
    super::standard_webhooks(secret, b"msg_loFOjxBNrRLzqYUf", "1731705121", STANDARD_BODY)
}

#[test]
fn the_standard_webhooks_vector_is_genuine_for_five_minutes() {
    assert_eq!(standard(&[], NOW), Ok(0));
    for seconds in [-300, 300] {
        assert_eq!(standard(&[], NOW + seconds * 1000), Ok(0), "{seconds}");
    }
    let of = |seconds: i64| standard(&[], NOW + seconds * 1000);
    assert_eq!(of(301), Err(SignatureError::Stale { seconds: 301, direction: "ago", tolerance: 300 }));
    assert_eq!(
        of(-301),
        Err(SignatureError::Stale { seconds: 301, direction: "in the future", tolerance: 300 })
    );
}

#[test]
fn id_and_time_are_part_of_what_is_signed() {
    for (name, other) in [("webhook-id", "msg_x"), ("webhook-timestamp", "1731705122")] {
        assert!(matches!(standard(&[(name, other)], NOW), Err(SignatureError::Mismatch { .. })), "{name}");
        let missing = Err(SignatureError::Uncovered { header: name.into() });
        assert_eq!(standard(&[(name, "")], NOW), missing);
    }
    let twice = [("webhook-timestamp", "1731705121"), ("Webhook-Timestamp", "1731705121")];
    let mut sent = headers(&twice);
    sent.extend(headers(&[("webhook-id", "msg_loFOjxBNrRLzqYUf"), ("webhook-signature", STANDARD_SIGNED)]));
    let result = verify(&standard_contract(), &sent, STANDARD_BODY, &[STANDARD_SECRET], NOW);
    assert_eq!(result, Err(SignatureError::Duplicate { header: "webhook-timestamp".into() }));
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let zeros = format!("v1,{}", STANDARD.encode([0; 32]));
    let genuine = [
        format!("{zeros} {STANDARD_SIGNED}"),
        format!("{STANDARD_SIGNED} {zeros}"),
        format!("v1a,abc {STANDARD_SIGNED}"),
    ];
    for value in &genuine {
        assert_eq!(standard(&[("webhook-signature", value)], NOW), Ok(0), "{value}");
    }
    let wrong = standard(&[("webhook-signature", &zeros)], NOW);
    assert!(matches!(wrong, Err(SignatureError::Mismatch { .. })), "{wrong:?}");
    let many = [zeros.as_str(); 16].join(" ") + " " + STANDARD_SIGNED;
    for value in ["v1a,abc", "v2,", "v1,abc", many.as_str()] {
        let result = standard(&[("webhook-signature", value)], NOW);
        assert!(matches!(result, Err(SignatureError::Malformed { .. })), "{value}: {result:?}");
    }
}

#[test]
fn a_time_that_is_none_and_a_secret_of_another_form_are_named() {
    // Signed with the right key, so that only the time is wrong.
    for time in ["soon", "+1731705121", "1731705121.5"] {
        let key = STANDARD.decode(&STANDARD_SECRET[6..]).unwrap_or_default();
        let signature = hmac(&key, &[b"id.", time.as_bytes(), b".", STANDARD_BODY]).unwrap_or_default();
        let signature = format!("v1,{}", STANDARD.encode(signature));
        let sent =
            [("webhook-id", "id"), ("webhook-timestamp", time), ("webhook-signature", signature.as_str())];
        assert_eq!(
            standard(&sent, NOW),
            Err(SignatureError::NoTime { header: "webhook-timestamp".into() }),
            "{time}"
        );
    }
    let sent =
        headers(&[("webhook-id", "a"), ("webhook-timestamp", "1"), ("webhook-signature", STANDARD_SIGNED)]);
    for secret in [b"plJ3nmyCDGBKInavdOK15jsl".as_slice(), b"whsec_", b"whsec_!!"] {
        let result = verify(&standard_contract(), &sent, STANDARD_BODY, &[secret], NOW);
        assert!(matches!(result, Err(SignatureError::BadSecret { .. })), "{result:?}");
    }
}

#[test]
fn current_and_previous_secret_verify_in_either_place() {
    let other = format!("whsec_{}", STANDARD.encode(b"another"));
    // One that is none of the scheme's is no reason to refuse what another one has signed.
    let places = [
        ([STANDARD_SECRET, other.as_bytes()], 0),
        ([other.as_bytes(), STANDARD_SECRET], 1),
        ([b"of another scheme", STANDARD_SECRET], 1),
    ];
    for (secrets, place) in places {
        let sent = headers(&[
            ("webhook-id", "msg_loFOjxBNrRLzqYUf"),
            ("webhook-timestamp", "1731705121"),
            ("webhook-signature", STANDARD_SIGNED),
        ]);
        assert_eq!(verify(&standard_contract(), &sent, STANDARD_BODY, &secrets, NOW), Ok(place));
    }
}

#[test]
fn a_signed_text_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let refusal = |signed: &str| {
        let scheme = scheme("hmac-sha256", "x-signature", "", "hex", signed);
        parts(&scheme).map(|_| ()).expect_err("it cannot be read")
    };
    assert!(refusal("{body").contains("not closed"));
    assert!(refusal("{body}}").contains("not opened"));
    assert!(refusal("{time}.{body}").contains("{time}"));
    assert!(refusal("{header:X-Big}.{body}").contains("lower case"));
    for signed in ["", "{body}{body}"] {
        assert!(refusal(signed).contains("exactly once"), "{signed}");
    }
    let mut unsigned_time = scheme("hmac-sha256", "x-signature", "", "hex", "{body}");
    unsigned_time.timestamp = Some(TimestampRule { header: "x-time".into(), tolerance_secs: 300 });
    assert!(parts(&unsigned_time).expect_err("anyone could change it").contains("x-time"));
}

#[test]
fn the_header_is_found_whatever_its_case() {
    assert_eq!(signed_with(&hex_contract(), &[("X-Hub-Signature-256", SIGNED)]), Ok(0));
}

#[test]
fn any_of_the_secrets_may_have_signed() {
    let sent = headers(&[("x-hub-signature-256", SIGNED)]);
    let places = [([SECRET, b"new".as_slice()], 0), ([b"new".as_slice(), SECRET], 1), ([SECRET, SECRET], 0)];
    for (secrets, place) in places {
        assert_eq!(verify(&hex_contract(), &sent, BODY, &secrets, NOW), Ok(place));
    }
}

#[test]
fn an_empty_body_can_be_signed() {
    let value = format!("sha256={}", hex::encode(hmac(SECRET, &[]).unwrap_or_default()));
    let sent = headers(&[("x-hub-signature-256", &value)]);
    assert_eq!(verify(&hex_contract(), &sent, b"", &[SECRET], NOW), Ok(0));
}

#[test]
fn a_shared_token_is_compared_whole() {
    let sent = headers(&[("x-gitlab-token", "let-me-in")]);
    assert_eq!(verify(&token_contract(), &sent, BODY, &[b"let-me-in"], NOW), Ok(0));
    for wrong in [b"let-me-i".as_slice(), b"let-me-in ", b"Let-me-in", b"let-me-inn"] {
        assert!(matches!(
            verify(&token_contract(), &sent, BODY, &[wrong], NOW),
            Err(SignatureError::Mismatch { .. })
        ));
    }
}

#[test]
fn what_is_not_exactly_the_signature_is_refused() {
    let digits = &SIGNED["sha256=".len()..];
    let cases: Vec<(&str, String)> = vec![
        ("another algorithm's prefix", format!("sha1={digits}")),
        ("no prefix", digits.to_owned()),
        ("prefix in capitals", format!("SHA256={digits}")),
        ("prefix twice", format!("sha256=sha256={digits}")),
        ("blank after the prefix", format!("sha256= {digits}")),
        ("blank before the prefix", format!(" {SIGNED}")),
        ("blank at the end", format!("{SIGNED} ")),
        ("line end at the end", format!("{SIGNED}\n")),
        ("nothing", String::new()),
        ("the prefix alone", "sha256=".to_owned()),
        ("cut by one digit", SIGNED[..SIGNED.len() - 1].to_owned()),
        ("cut by one byte", SIGNED[..SIGNED.len() - 2].to_owned()),
        ("one byte more", format!("{SIGNED}00")),
        ("no hex digits", format!("sha256={}", "zz".repeat(32))),
        ("hexadecimal with 0x", format!("sha256=0x{digits}")),
        ("two signatures in one header", format!("{SIGNED},{SIGNED}")),
        ("base64 where hex is due", format!("sha256={}", base64_of_signature())),
        ("letters of another script", format!("sha256={}", "а".repeat(64))),
    ];
    for (what, value) in cases {
        let result = signed_with(&hex_contract(), &[("x-hub-signature-256", &value)]);
        assert!(matches!(result, Err(SignatureError::Malformed { .. })), "{what}: {result:?}");
    }
}

#[test]
fn a_well_formed_signature_of_something_else_is_refused() {
    let sent = [("x-hub-signature-256", SIGNED)];
    let mut flipped = hmac(SECRET, &[BODY]).unwrap_or_default();
    flipped[31] ^= 1;
    let flipped = format!("sha256={}", hex::encode(flipped));
    let of_body = format!("sha256={}", hex::encode(Sha256::digest(BODY)));
    let zeros = format!("sha256={}", "0".repeat(64));
    let by_empty_secret = format!("sha256={}", hex::encode(hmac(b"", &[BODY]).unwrap_or_default()));
    for value in [&flipped, &of_body, &zeros, &by_empty_secret] {
        let result = signed_with(&hex_contract(), &[("x-hub-signature-256", value)]);
        assert!(matches!(result, Err(SignatureError::Mismatch { .. })), "{value}: {result:?}");
    }
    for body in [b"Hello, World".as_slice(), b"hello, World!", b"Hello, World!\n", b""] {
        let result = verify(&hex_contract(), &headers(&sent), body, &[SECRET], NOW);
        assert!(matches!(result, Err(SignatureError::Mismatch { .. })));
    }
    for secret in [b"it's a secret to everybody".as_slice(), b"It's a Secret to Everybody ", b"x"] {
        let result = verify(&hex_contract(), &headers(&sent), BODY, &[secret], NOW);
        assert!(matches!(result, Err(SignatureError::Mismatch { .. })));
    }
}

#[test]
fn a_header_that_occurs_twice_is_refused_even_if_both_are_right() {
    let sent = [("x-hub-signature-256", SIGNED), ("X-Hub-Signature-256", SIGNED)];
    let result = signed_with(&hex_contract(), &sent);
    assert_eq!(result, Err(SignatureError::Duplicate { header: "x-hub-signature-256".into() }));
}

#[test]
fn a_delivery_without_the_header_is_refused_with_the_header_named() {
    for sent in [&[][..], &[("x-hub-signature", SIGNED)], &[("x-hub-signature-2567", SIGNED)]] {
        let result = signed_with(&hex_contract(), sent);
        assert_eq!(result, Err(SignatureError::Missing { expected: "x-hub-signature-256".into() }));
    }
}

#[test]
fn a_broken_strong_signature_is_not_saved_by_a_right_weak_one() {
    let mut both = hex_contract();
    both.schemes.extend(token_contract().schemes);
    let secret = "It's a Secret to Everybody";
    assert_eq!(signed_with(&both, &[("x-gitlab-token", secret)]), Ok(0), "the weak one alone counts");
    for value in ["sha256=00", "", &format!("sha256={}", "0".repeat(64))] {
        let sent = [("x-gitlab-token", secret), ("x-hub-signature-256", value)];
        assert!(signed_with(&both, &sent).is_err(), "{value}");
    }
}

#[test]
fn no_secret_and_an_empty_secret_are_refused_before_anything_else() {
    let sent = headers(&[("x-gitlab-token", "")]);
    assert_eq!(verify(&token_contract(), &sent, BODY, &[], NOW), Err(SignatureError::NoSecret));
    for secrets in [&[b"".as_slice()][..], &[SECRET, b""]] {
        assert_eq!(verify(&token_contract(), &sent, BODY, secrets, NOW), Err(SignatureError::EmptySecret));
    }
}

#[test]
fn an_empty_token_is_refused() {
    let result = signed_with(&token_contract(), &[("x-gitlab-token", "")]);
    assert!(matches!(result, Err(SignatureError::Malformed { .. })));
}

#[test]
fn base64_is_taken_as_rfc_4648_has_it_and_in_no_other_way() {
    let contract = contract(vec![scheme("hmac-sha256", "x-signature", "", "base64", "{body}")]);
    let right = base64_of_signature();
    assert_eq!(signed_with(&contract, &[("x-signature", &right)]), Ok(0));
    let without_padding = right.trim_end_matches('=').to_owned();
    for value in [without_padding, format!("{right}="), format!("{right}\n"), SIGNED.to_owned()] {
        let result = signed_with(&contract, &[("x-signature", &value)]);
        assert!(matches!(result, Err(SignatureError::Malformed { .. })), "{value}");
    }
}

#[test]
fn a_scheme_that_the_host_does_not_know_verifies_nothing() {
    for (algorithm, encoding, signed) in [
        ("hmac-sha1", "hex", "{body}"),
        ("hmac-sha256", "plain", "{body}"),
        ("hmac-sha256", "hex", ""),
        ("hmac-sha256", "hex", "{time}.{body}"),
        ("shared-token", "hex", ""),
        ("none", "plain", "{body}"),
    ] {
        let contract = contract(vec![scheme(algorithm, "x-hub-signature-256", "sha256=", encoding, signed)]);
        let result = signed_with(&contract, &[("x-hub-signature-256", SIGNED)]);
        assert!(matches!(result, Err(SignatureError::Unknown { .. })), "{algorithm} {encoding}: {result:?}");
    }
}

#[test]
fn a_contract_without_schemes_believes_nothing() {
    assert!(matches!(
        signed_with(&contract(Vec::new()), &[("x-hub-signature-256", SIGNED)]),
        Err(SignatureError::Missing { .. })
    ));
}
