//! What a Jenkins remembers, and what happens on it without anybody asking.

use std::collections::BTreeMap;

/// What pipelines write 15 seconds after they were asked in vain to stop.
const OFFERS: [&str; 2] =
    ["Click here to forcibly terminate running steps\n", "Click here to forcibly kill entire build\n"];

pub struct World {
    pub url: String,
    /// Whether it wants crumbs at all.
    pub crumbs: bool,
    /// Whether an executor is always free.
    pub eager: bool,
    /// By full name.
    pub items: BTreeMap<String, Item>,
    pub queue: Vec<Waiting>,
    next_in_queue: u64,
}

#[derive(Default)]
pub struct Item {
    pub config: String,
    pub is_folder: bool,
    pub class: String,
    pub disabled: bool,
    pub parameters: Vec<Definition>,
    pub builds: Vec<Build>,
}

pub struct Definition {
    pub name: String,
    pub kind: String,
    pub default: String,
    pub choices: Vec<String>,
}

pub struct Build {
    pub number: u64,
    pub queue_id: u64,
    pub building: bool,
    pub result: Option<String>,
    pub log: Option<Vec<u8>>,
    pub parameters: Vec<(String, String)>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    /// How many of stop and term it does not care about.
    pub stubborn: usize,
}

pub struct Waiting {
    pub id: u64,
    pub job: String,
    pub parameters: Vec<(String, String)>,
    pub cancelled: bool,
    pub executable: Option<u64>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            url: String::new(),
            crumbs: true,
            eager: false,
            items: BTreeMap::new(),
            queue: Vec::new(),
            next_in_queue: 143,
        }
    }
}

impl World {
    /// The place in the queue of a new build. One that waits with the same parameters is the same one for Jenkins.
    pub fn enqueue(&mut self, job: &str, parameters: Vec<(String, String)>) -> u64 {
        let waits = |item: &&Waiting| {
            item.job == job && item.parameters == parameters && item.executable.is_none() && !item.cancelled
        };
        if let Some(item) = self.queue.iter().find(waits) {
            return item.id;
        }
        let id = self.next_in_queue;
        self.next_in_queue += 1;
        self.queue.push(Waiting { id, job: job.to_owned(), parameters, cancelled: false, executable: None });
        if self.eager {
            self.start_next();
        }
        id
    }

    /// An executor takes the next one.
    pub fn start_next(&mut self) -> u64 {
        let waiting = self.queue.iter_mut().find(|item| item.executable.is_none() && !item.cancelled);
        let waiting = waiting.expect("something waits");
        let item = self.items.get_mut(&waiting.job).expect("the job is there");
        let number = item.builds.last().map_or(1, |build| build.number + 1);
        waiting.executable = Some(number);
        item.builds.push(Build {
            number,
            queue_id: waiting.id,
            building: true,
            result: None,
            log: Some(Vec::new()),
            parameters: waiting.parameters.clone(),
            artifacts: BTreeMap::new(),
            stubborn: 0,
        });
        number
    }

    /// Five minutes later.
    pub fn forget_queue(&mut self) {
        self.queue.retain(|item| item.executable.is_none() && !item.cancelled);
    }

    pub fn build(&mut self, job: &str, number: u64) -> &mut Build {
        let builds = &mut self.items.get_mut(job).expect("the job is there").builds;
        builds.iter_mut().find(|build| build.number == number).expect("the build is there")
    }

    /// Leaves a job as if somebody else had made it.
    pub fn put(&mut self, name: &str, class: &str) -> &mut Item {
        let item = self.items.entry(name.to_owned()).or_default();
        item.class = class.to_owned();
        item.config = "<project/>".to_owned();
        item
    }
}

impl Build {
    pub fn write(&mut self, text: &str) {
        self.log.get_or_insert_default().extend_from_slice(text.as_bytes());
    }

    pub fn finish(&mut self, result: &str) {
        self.building = false;
        self.result = Some(result.to_owned());
        self.write(&format!("Finished: {result}\n"));
    }

    /// `stop`, `term` or `kill`: the last of them always works.
    pub fn stop(&mut self, how: usize) {
        match OFFERS.get(how).filter(|_| how < self.stubborn) {
            Some(offer) => self.write(offer),
            None => self.finish("ABORTED"),
        }
    }
}
