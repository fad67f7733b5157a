use windlass_sdk::forge::{Delivery, Event, Forge};
use windlass_sdk::{Failure, Manifest};
struct Github;
impl Forge for Github {
    fn describe() -> Manifest {
        Manifest::new("github", env!("CARGO_PKG_VERSION"), "x")
    }
    fn parse_webhook(_d: Delivery) -> Result<Event, Failure> {
        Ok(Event::Ping)
    }
}
windlass_sdk::export_forge!(Github);
