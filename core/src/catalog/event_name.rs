//! Which of a gateway's events takes a name: the one that is exactly it, else the longest prefix.

use std::collections::HashMap;

/// What a gateway has by the names of events, each of which is exact or a prefix that ends in `*`.
#[derive(Debug)]
pub struct EventTable<T> {
    exact: HashMap<Box<str>, T>,
    /// Longest first, without their `*`.
    prefixes: Vec<(Box<str>, T)>,
}

impl<T> FromIterator<(String, T)> for EventTable<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(events: I) -> Self {
        let (mut exact, mut prefixes) = (HashMap::new(), Vec::new());
        for (name, event) in events {
            match name.strip_suffix('*') {
                Some(prefix) => prefixes.push((prefix.into(), event)),
                None => drop(exact.insert(name.into(), event)),
            }
        }
        prefixes.sort_by_key(|(prefix, _): &(Box<str>, _)| std::cmp::Reverse(prefix.len()));
        Self { exact, prefixes }
    }
}

impl<T> EventTable<T> {
    /// What takes this name.
    pub fn find(&self, name: &str) -> Option<&T> {
        self.exact.get(name).or_else(|| {
            let matching = self.prefixes.iter().find(|(prefix, _)| name.starts_with(&**prefix));
            matching.map(|(_, event)| event)
        })
    }

    /// All that it has.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.prefixes.iter().map(|(_, event)| event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let names = ["a", "*", "a:*", "a:b*", "a:b"];
        let table: EventTable<_> = names.into_iter().map(|name| (name.to_owned(), name)).collect();
        for (name, expected) in
            [("a", "a"), ("a:b", "a:b"), ("a:bc", "a:b*"), ("a:c", "a:*"), ("b", "*"), ("", "*"), ("a*", "*")]
        {
            assert_eq!(table.find(name), Some(&expected), "{name}");
        }
        assert_eq!(table.all().count(), names.len());
    }
}
