//! Reading forms with repeated groups of fields: `env.0.name`, `env.0.value`, `env.1.name`, …

use std::collections::BTreeMap;

/// Groups a form may repeat; more are left out.
const MAX_ROWS: usize = 500;

/// The fields of a form as they came.
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// A field's text without the line ends that browsers add; empty if it did not come.
    pub fn text(&self, name: &str) -> String {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or(String::new(), |(_, value)| value.replace("\r\n", "\n"))
    }

    pub fn trimmed(&self, name: &str) -> String {
        self.text(name).trim().to_string()
    }

    /// A checkbox comes only when it is ticked.
    pub fn ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// The groups under `prefix` in the order of their numbers.
    pub fn rows(&self, prefix: &str) -> Vec<Fields> {
        let mut rows: BTreeMap<usize, Vec<(String, String)>> = BTreeMap::new();
        for (field, value) in &self.0 {
            let rest = field.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
            let Some((number, name)) = rest.and_then(|rest| rest.split_once('.')) else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            rows.entry(number).or_default().push((name.to_string(), value.clone()));
        }
        rows.into_values().take(MAX_ROWS).map(Fields).collect()
    }
}

/// The lines that say something.
pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_their_numbers() {
        let pairs = [
            ("env.10.name", "B"),
            ("env.2.name", "A"),
            ("env.2.secret", "on"),
            ("other", "x"),
            ("env.x.name", "-"),
        ];
        let fields = Fields(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        let rows = fields.rows("env");
        let names: Vec<String> = rows.iter().map(|row| row.text("name")).collect();
        assert_eq!(names, ["A", "B"]);
        assert!(rows[0].ticked("secret") && !rows[1].ticked("secret"));
    }
}
