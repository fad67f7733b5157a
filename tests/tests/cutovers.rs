//! Every way to move a stack's requests, under a load that crosses each cutover: nothing is dropped. `bench cutovers` does
//! the same a hundred times, beside others.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::time::Duration;

use windlass_tests::crossing::Load;
use windlass_tests::cutover::{CUTOVERS, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_dropped_by_any_way_to_move_the_requests() {
    let load = Load { visitors: 8, pause: Duration::from_millis(40), download_mib: 8 };
    let mut rig = Rig::start(load).await;
    rig.round(1).await;
    rig.overlap("2 overlap").await;
    rig.promote_and_switch_back("2 blue-green").await;
    let measured = rig.end().await;
    let outcome = &measured.outcome;
    assert_eq!(outcome.failed, Vec::<String>::new(), "of {} requests", outcome.requests);
    assert_eq!(outcome.repeated, 0, "connections were closed while somebody used them");
    assert_eq!(outcome.cutovers.len(), CUTOVERS + 3);
    assert_eq!(outcome.uncrossed(), 0, "cutovers that no long request crossed: {:?}", outcome.long.len());
    assert!(outcome.visits.len() > 1_000, "only {} small requests were made", outcome.visits.len());
    // How long it takes is for the benchmark to say.
    assert_eq!((measured.to_new.is_empty(), measured.back.is_empty()), (false, false));
}
