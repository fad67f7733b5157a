//! What is costly to find out and good for a moment: found once for all who ask meanwhile.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;

/// What was found, and when somebody began to look. Who comes while it is looked for waits here.
type Place<V> = Arc<tokio::sync::Mutex<Option<(Instant, V)>>>;

pub struct Lately<K, V> {
    good_for: Duration,
    places: Mutex<HashMap<K, Place<V>>>,
}

impl<K: Eq + Hash, V: Clone> Lately<K, V> {
    pub fn new(good_for: Duration) -> Self {
        Self { good_for, places: Mutex::default() }
    }

    /// What was found lately, or what `find` finds now.
    ///
    /// # Errors
    /// Those of `find`; nothing is kept of them.
    pub async fn get(&self, key: K, find: impl Future<Output = Result<V>>) -> Result<V> {
        let place = self.place(key);
        let mut kept = place.lock().await;
        if let Some((since, value)) = kept.as_ref()
            && self.is_good(*since)
        {
            return Ok(value.clone());
        }
        let begun = Instant::now();
        let value = find.await?;
        *kept = Some((begun, value.clone()));
        Ok(value)
    }

    fn is_good(&self, since: Instant) -> bool {
        since.elapsed() < self.good_for
    }

    /// What nobody waits for and is good no more goes, so that there are never more than were asked for lately.
    fn place(&self, key: K) -> Place<V> {
        let mut all = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, place| {
            let is_good =
                |kept: &Option<(Instant, V)>| kept.as_ref().is_some_and(|(at, _)| self.is_good(*at));
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|kept| is_good(&kept))
        });
        Arc::clone(all.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::error::Error;

    async fn count(looks: &AtomicU32) -> Result<u32> {
        tokio::task::yield_now().await;
        Ok(looks.fetch_add(1, Ordering::Relaxed))
    }

    #[tokio::test]
    async fn many_who_ask_at_once_look_once_for_each_thing() {
        let (lately, looks) = (Lately::new(Duration::from_secs(3600)), AtomicU32::new(0));
        let found = join_all((0..20).map(|n| lately.get(n % 2, count(&looks)))).await;
        assert_eq!(looks.load(Ordering::Relaxed), 2);
        assert!(found.into_iter().all(|one| one.unwrap() < 2));
    }

    #[tokio::test]
    async fn what_is_good_no_more_is_looked_for_again_and_forgotten() {
        let (lately, looks) = (Lately::new(Duration::ZERO), AtomicU32::new(0));
        for wanted in 0..3 {
            assert_eq!(lately.get(wanted, count(&looks)).await.unwrap(), wanted);
        }
        assert_eq!(lately.places.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_who_asked_and_not_kept() {
        let lately = Lately::new(Duration::from_secs(3600));
        let failed = lately.get((), async { Err(Error::unavailable("it is away")) }).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))));
        assert_eq!(lately.get((), async { Ok(7) }).await.unwrap(), 7);
    }
}
