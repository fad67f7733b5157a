//! Who is charged for the time of a call. It goes with the task, so that no adapter has to pass it on.

use std::sync::{Arc, LazyLock, OnceLock};

/// The server's own account: for what nobody has asked for.
const OURS: &str = "this server";

/// Not known at once: who sends a request is found out while it is handled.
type Account = Arc<OnceLock<Arc<str>>>;

tokio::task_local! {
    static PAYER: Account;
}

/// Runs `work`, whose calls into plugins are on that account, such as a team's; without one, on the account that
/// [`payer_is`] names meanwhile, or else on the server's own.
pub async fn charged<T>(payer: Option<String>, work: impl Future<Output = T>) -> T {
    let cell = payer.map_or_else(OnceLock::new, |payer| OnceLock::from(Arc::from(payer)));
    PAYER.scope(Arc::new(cell), work).await
}

/// Says who the running work is for. Outside of [`charged`], and where that is known already, nothing happens.
pub fn payer_is(payer: &str) {
    let _ = PAYER.try_with(|cell| cell.get_or_init(|| payer.into()).clone());
}

pub(in crate::plugins) fn payer() -> Arc<str> {
    static NOBODY: LazyLock<Arc<str>> = LazyLock::new(|| OURS.into());
    let known = PAYER.try_with(|cell| cell.get().cloned()).ok().flatten();
    known.unwrap_or_else(|| NOBODY.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_account_is_the_tasks_or_whose_is_found_out_first_or_the_servers() {
        assert_eq!(&*payer(), OURS);
        let of_task = charged(Some("team `owls`".into()), async {
            payer_is("user `eve`");
            payer()
        });
        assert_eq!(&*of_task.await, "team `owls`");
        let of_request = charged(None, async {
            let before = payer();
            payer_is("user `ada`");
            payer_is("user `eve`");
            (before, payer())
        });
        let (before, after) = of_request.await;
        assert_eq!((&*before, &*after), (OURS, "user `ada`"));
    }
}
