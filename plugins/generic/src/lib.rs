use windlass_sdk::forge::{Delivery, Event, Forge};
use windlass_sdk::{Failure, Manifest};
struct Generic;
impl Forge for Generic {
    fn describe() -> Manifest {
        Manifest::new("generic", env!("CARGO_PKG_VERSION"), "x")
    }
    fn parse_webhook(_d: Delivery) -> Result<Event, Failure> {
        Ok(Event::Ping)
    }
}
windlass_sdk::export_forge!(Generic);
