//! Pieces of Dockerfiles.

/// Nobody in particular: it exists in every image, since a number needs no entry in /etc/passwd.
pub const NOBODY: &str = "65532:65532";

/// `CMD` in the form that starts the program itself, so that it gets the engine's signals. What needs a shell gets one.
pub fn start(command: &str) -> String {
    let plain = command
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || " ._-/:=@,+".contains(character));
    let is_assignment = |word: &str| word.split_once('=').is_some_and(|(name, _)| !name.starts_with('-'));
    let words: Vec<&str> = command.split_whitespace().collect();
    if plain && !words.is_empty() && !is_assignment(words[0]) {
        return format!("CMD {}", serde_json::json!(words));
    }
    format!("CMD {}", serde_json::json!(["/bin/sh", "-c", command.trim()]))
}

/// The first number of a version and, with `parts`, those after it: `>=20.1 <23` → `20` or `20.1`. None for `*` and `lts/*`.
pub fn version(text: &str, parts: usize) -> Option<String> {
    let text = text.trim_start_matches(|character: char| !character.is_ascii_digit());
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let numbers: Vec<&str> = text[..end].split('.').filter(|part| !part.is_empty()).take(parts).collect();
    let fits = !numbers.is_empty() && numbers.iter().all(|number| number.len() <= 4);
    fits.then(|| numbers.join("."))
}

/// Whether a text can stand in a Dockerfile as a name or path without being taken for something else.
pub fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "._-/".contains(character))
        && !text.starts_with('-')
        && !text.split('/').any(|part| part == "..")
}
