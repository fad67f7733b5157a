//! How long nothing has moved: for what may take as long as it likes, as long as it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Quiet {
    began: Instant,
    /// When something moved last, in milliseconds after the beginning.
    moved: AtomicU64,
}

impl Quiet {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), moved: AtomicU64::default() })
    }

    pub fn moved(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// Returns when nothing has moved for so long.
    pub async fn lasts(&self, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        loop {
            let since = self.now().saturating_sub(self.moved.load(Ordering::Relaxed));
            if since >= limit {
                return;
            }
            tokio::time::sleep(Duration::from_millis(limit - since)).await;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
