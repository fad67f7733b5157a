//! Which deliveries are genuine: the host's verifier with the schemes that the built-in plugins declare, case by case, and in
//! agreement with verifiers that others wrote.

mod cases;
mod outside;
mod schemes;

use cases::{CASES, Verdict};
use schemes::schemes;
use windlass::plugins::signature;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_every_scheme_is_judged_as_it_should_be() {
    let (mut judged, mut wrong) = (0, Vec::new());
    for scheme in schemes().await {
        for case in CASES {
            let delivery = case.delivery(&scheme);
            let secrets: Vec<&[u8]> = delivery.secrets.iter().map(String::as_bytes).collect();
            let found = Verdict::of(&signature::verify(
                &scheme.contract,
                &delivery.headers,
                &delivery.body,
                &secrets,
                delivery.now,
            ));
            judged += 1;
            if !delivery.wanted.contains(&found) {
                wrong.push(format!(
                    "{}, {}: {found:?} instead of {:?}",
                    scheme.name,
                    case.name(),
                    delivery.wanted
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged >= 120, "only {judged} vectors");
}
