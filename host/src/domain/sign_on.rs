//! What somebody may do whom an OpenID provider vouches for: the rules of the operator, applied to what the provider says.

use super::access::Role;
use super::people::is_name;

/// Longest name of an account.
const NAME: usize = 32;

/// What a provider says of somebody, as far as it counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// Never changes, and is nobody else's.
    pub subject: String,
    /// Only if the provider has verified it; in lower case.
    pub email: Option<String>,
    pub groups: Vec<String>,
    /// What they would like to be called.
    pub name: Option<String>,
}

/// Whoever fits gets the role in the team. One of `email` and `group` is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// An address, or `*@` and a domain.
    pub email: String,
    pub group: String,
    pub team: String,
    pub role: Role,
}

impl Rule {
    fn fits(&self, person: &Person) -> bool {
        if !self.group.is_empty() {
            return person.groups.contains(&self.group);
        }
        let Some(email) = &person.email else { return false };
        let wanted = self.email.to_lowercase();
        match wanted.strip_prefix("*@") {
            // The part before the last @ is the mailbox; nothing in it may look like the domain.
            Some(domain) => email.rsplit_once('@').is_some_and(|(_, theirs)| theirs == domain),
            None => *email == wanted,
        }
    }
}

/// The highest role in each team that a rule gives.
pub fn granted(rules: &[Rule], person: &Person) -> Vec<(String, Role)> {
    let mut found: Vec<(String, Role)> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.fits(person)) {
        match found.iter_mut().find(|(team, _)| *team == rule.team) {
            Some((_, role)) => *role = (*role).max(rule.role),
            None => found.push((rule.team.clone(), rule.role)),
        }
    }
    found
}

/// A name for a new account that nobody has; `taken` says who has.
pub fn account_name(person: &Person, taken: impl Fn(&str) -> bool) -> Option<String> {
    let mailbox = person.email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(name, _)| name);
    let wishes = [person.name.as_deref(), mailbox, Some("person")];
    let wish = wishes.into_iter().flatten().map(plain).find(|name| is_name(name))?;
    let numbered = (2..1000).map(|n| {
        let end = format!("-{n}");
        format!("{}{end}", wish.chars().take(NAME - end.len()).collect::<String>())
    });
    std::iter::once(wish.clone()).chain(numbered).find(|name| !taken(name))
}

/// As near to the text as names allow.
fn plain(text: &str) -> String {
    let local = text.split('@').next().unwrap_or(text).to_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let kept: String = local.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    kept.trim_start_matches(['-', '_', '.']).chars().take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(email: Option<&str>, groups: &[&str]) -> Person {
        Person {
            subject: "1".into(),
            email: email.map(str::to_owned),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            name: None,
        }
    }

    fn rule(email: &str, group: &str, role: Role) -> Rule {
        Rule { email: email.into(), group: group.into(), team: "owls".into(), role }
    }

    #[test]
    fn the_highest_role_of_all_rules_that_fit_counts() {
        let rules = [rule("*@Example.org", "", Role::Viewer), rule("", "ops", Role::Deployer)];
        let given = |person: &Person| granted(&rules, person);
        assert_eq!(given(&person(Some("ada@example.org"), &["ops"])), [("owls".into(), Role::Deployer)]);
        assert_eq!(given(&person(Some("ada@example.org"), &[])), [("owls".into(), Role::Viewer)]);
        assert_eq!(given(&person(None, &["ops"])), [("owls".into(), Role::Deployer)]);
    }

    #[test]
    fn an_address_that_only_looks_like_the_domain_does_not_fit() {
        let rules = [rule("*@example.org", "", Role::Viewer), rule("bob@other.org", "", Role::Admin)];
        for email in [
            "ada@example.org.evil.example",
            "ada@evilexample.org",
            "\"x@example.org\"@evil.example",
            "ada@sub.example.org",
            "example.org",
            "xbob@other.org",
        ] {
            assert!(granted(&rules, &person(Some(email), &["operators"])).is_empty(), "{email}");
        }
    }

    #[test]
    fn a_new_account_gets_a_name_that_is_free() {
        let named = |name: &str| Person { name: Some(name.into()), ..person(Some("Ada.L@example.org"), &[]) };
        let name = |name: &str, taken: &[&str]| account_name(&named(name), |one| taken.contains(&one));
        assert_eq!(name("Ada Lovelace", &[]).as_deref(), Some("ada-lovelace"));
        assert_eq!(name("ada@example.org", &["ada"]).as_deref(), Some("ada-2"));
        assert_eq!(name("愛", &[]).as_deref(), Some("ada.l"));
        let long = name(&"a".repeat(60), &[&"a".repeat(32)]);
        assert_eq!(long.as_deref().map(str::len), Some(32));
    }
}
