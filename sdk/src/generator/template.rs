//! Templates: the vendor's own file, with places for the parts that are generated.

use crate::Problem;

/// Puts parts into a template. A place is a line that holds nothing but `@{name}`; the part's lines get the indent of that
/// line. So a part is whole lines of the vendor's language, never a piece of a text in quotes. A place whose part is empty
/// goes. Other text stays as it is.
///
/// ```
/// use windlass_sdk::generator::template::fill;
///
/// let text = fill("jobs:\n  @{jobs}\n", &[("jobs", "test:\n  run: make\n".into())], "jobs").expect("it is good");
/// assert_eq!(text, "jobs:\n  test:\n    run: make\n");
///
/// let problem = fill("jobs:\n  @{jbos}\n", &[("jobs", String::new())], "jobs").expect_err("there is no such part");
/// assert_eq!(problem.path, "/template");
/// ```
///
/// # Errors
/// A place whose part is not known, and a template without the place of the part that is `required`.
pub fn fill(template: &str, parts: &[(&str, String)], required: &str) -> Result<String, Problem> {
    let mut out = String::new();
    let mut is_whole = false;
    for (number, line) in template.lines().enumerate() {
        let Some(name) = place(line) else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let Some((_, part)) = parts.iter().find(|(known, _)| *known == name) else {
            let known: Vec<String> = parts.iter().map(|(name, _)| format!("`@{{{name}}}`")).collect();
            let message =
                format!("Line {}: there is no part `{name}`; known are {}.", number + 1, known.join(", "));
            return Err(Problem::at("/template", message));
        };
        is_whole |= name == required;
        let indent = &line[..line.len() - line.trim_start().len()];
        for line in part.lines() {
            if !line.is_empty() {
                out.push_str(indent);
                out.push_str(line);
            }
            out.push('\n');
        }
    }
    if is_whole {
        return Ok(out);
    }
    let message = format!("A line with `@{{{required}}}` is missing: without it, no script would run.");
    Err(Problem::at("/template", message))
}

fn place(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix("@{")?.strip_suffix('}')?;
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase())).then_some(name)
}
