use windlass_sdk::planner::*;
use windlass_sdk::{Failure, Manifest, Problem};
struct P;
impl Planner for P {
    fn describe() -> Manifest {
        Manifest::new("docker-build", "0.1.0", "x")
    }
    fn validate(_: &BuildConfig) -> Vec<Problem> {
        vec![]
    }
    fn plan(_: Context) -> Result<Vec<BuildStep>, Failure> {
        Ok(vec![])
    }
}
windlass_sdk::export_planner!(P);
