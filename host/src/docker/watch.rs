//! A bell that rings when one of our containers starts, dies or changes its health.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::{sync::Notify, task::JoinHandle};

use super::{Docker, label};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Rings for as long as it is kept. It is a hint: events can get lost, so callers look again from time to time anyway.
pub struct Watch {
    bell: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Returns when something has happened since the last call. Cancel-safe; rings that come while nobody listens are
    /// kept as one.
    pub async fn changed(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Docker {
    /// Watches this server's containers: those of one stack, or all. Reconnects by itself, and rings after each
    /// reconnection since events may have been missed.
    pub fn watch(&self, stack: Option<&str>) -> Watch {
        let bell = Arc::new(Notify::new());
        let labels = stack.map(|stack| format!("{}={stack}", label::STACK));
        let labels: Vec<String> =
            labels.into_iter().chain([format!("{}={}", label::SERVER, self.server())]).collect();
        let task = tokio::spawn(listen(self.clone(), labels, Arc::clone(&bell)));
        Watch { bell, task }
    }
}

async fn listen(engine: Docker, labels: Vec<String>, bell: Arc<Notify>) {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let filters = HashMap::from([
        ("type".to_string(), words(&["container"])),
        ("event".to_string(), words(&["start", "die", "oom", "health_status", "destroy"])),
        ("label".to_string(), labels),
    ]);
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(client) = engine.client().await {
            let options = EventsOptionsBuilder::default().filters(&filters).build();
            let mut events = client.events(Some(options)).boxed();
            bell.notify_one();
            while let Some(event) = events.next().await {
                if let Err(error) = event {
                    engine.explain(error);
                    break;
                }
                pause = FIRST_PAUSE;
                bell.notify_one();
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
