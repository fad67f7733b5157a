//! What the pipeline generators write, checked by those who read it: the vendors' schemas and linters, readers of YAML, Groovy
//! and bash.
#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod hostile;
mod runs;
mod sandbox;
mod texts;
mod vendors;
