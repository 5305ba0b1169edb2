//! What a name that is not known was probably meant to be.

/// The known name that is most like `name`, unless it would have to be changed in more than half.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|known| (strsim::damerau_levenshtein(known, name), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance * 2 <= name.chars().count().max(known.chars().count())).then_some(known)
}

/// `; did you mean find?`, or nothing where no known name is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check =
            |name, nearest_one| assert_eq!(nearest(name, ["listen", "limits.burst"]), nearest_one, "{name}");
        check("listne", Some("listen"));
        check("limit.burst", Some("limits.burst"));
        check("colour", None);
        assert_eq!(nearest("any", []), None);
    }
}
