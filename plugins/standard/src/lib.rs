use windlass_sdk::strategy::*;
use windlass_sdk::{Failure, Manifest, Problem};
struct P;
impl Strategy for P {
    fn describe() -> Manifest {
        Manifest::new("standard", "0.1.0", "x")
    }
    fn validate(_: &str, _: &Stack) -> Vec<Problem> {
        vec![]
    }
    fn decide(_: &[u8], _: Situation) -> Result<Step, Failure> {
        Err(Failure::permanent("x", "x"))
    }
}
windlass_sdk::export_strategy!(P);
