//! The paths of routes: how they are written, and which are the server's own.

use std::collections::HashSet;

use crate::error::{ErrorCode, Failure};

/// What the server itself serves: no route has these paths or any below them.
pub type BuiltInPaths = &'static [&'static str];

/// The methods of routes; HEAD is answered by GET, OPTIONS by the server.
pub(super) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const PATH_BYTES_MAX: usize = 200;

/// The path of the server itself that `path` is, or lies below.
pub(super) fn built_in_path(path: &str, built_in: BuiltInPaths) -> Option<&'static str> {
    let covers = |built_in: &&str| {
        path.strip_prefix(built_in).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    built_in.iter().copied().find(|built_in| covers(built_in))
}

/// A method as routes have it: in upper case.
pub(crate) fn normal_method(method: &str) -> Result<String, Failure> {
    let method = method.to_ascii_uppercase();
    if METHODS.contains(&method.as_str()) {
        return Ok(method);
    }
    Err(Failure::invalid("method", format!("must be one of {}", METHODS.join(", "))))
}

/// That a path is not the server's own.
pub(super) fn check_not_built_in(path: &str, built_in: BuiltInPaths) -> Result<(), Failure> {
    match built_in_path(path, built_in) {
        Some(built_in) => {
            let message = format!(
                "{built_in} and what lies below it is served by Gatewright itself; choose another path"
            );
            Err(Failure::new(ErrorCode::DuplicateResource, message))
        }
        None => Ok(()),
    }
}

/// A path as routes have it: parameters are `{id}`, whether they were written so or as `:id`.
pub(crate) fn normal_path(path: &str) -> Result<String, Failure> {
    let Some(rest) = path.strip_prefix('/').filter(|_| path.len() <= PATH_BYTES_MAX) else {
        let message = format!("must begin with / and have at most {PATH_BYTES_MAX} bytes");
        return Err(Failure::invalid("path", message));
    };
    if rest.is_empty() {
        return Ok("/".to_owned());
    }
    let mut names = HashSet::new();
    let mut pattern = String::with_capacity(path.len() + 8);
    for segment in rest.split('/') {
        pattern.push('/');
        match parameter(segment) {
            Some(name) if !is_parameter_name(name) => {
                let message = format!("the parameter {segment:?} needs a name of letters, digits and _");
                return Err(Failure::invalid("path", message));
            }
            Some(name) if !names.insert(name) => {
                return Err(Failure::invalid("path", format!("has two parameters {name}")));
            }
            Some(name) => pattern.extend(["{", name, "}"]),
            None if is_literal(segment) => pattern.push_str(segment),
            None => {
                let message = format!(
                    "the segment {segment:?} is neither letters, digits, - _ . ~ nor a parameter such as {{id}}"
                );
                return Err(Failure::invalid("path", message));
            }
        }
    }
    Ok(pattern)
}

/// What two paths share that match the same requests: the path without its parameters' names.
pub(crate) fn shape(pattern: &str) -> Vec<Option<&str>> {
    pattern.split('/').map(|segment| (!segment.starts_with('{')).then_some(segment)).collect()
}

fn parameter(segment: &str) -> Option<&str> {
    segment
        .strip_prefix(':')
        .or_else(|| segment.strip_prefix('{').map(|rest| rest.strip_suffix('}').unwrap_or_default()))
}

fn is_parameter_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Clients resolve `.` and `..` before they ask, so no request would come there.
fn is_literal(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Result<String, Failure> {
        let pattern = normal_path(path)?;
        check_not_built_in(&pattern, &["/admin", "/api/socket", "/data", "/docs", "/me", "/socket.io"])?;
        Ok(pattern)
    }

    #[test]
    fn patterns() {
        for (path, expected) in [
            ("/", "/"),
            ("/orders", "/orders"),
            ("/orders/:id/ship", "/orders/{id}/ship"),
            ("/orders/{id}/items/:item_2", "/orders/{id}/items/{item_2}"),
            ("/api/orders", "/api/orders"),
            ("/administration", "/administration"),
            ("/{any}", "/{any}"),
        ] {
            assert_eq!(pattern(path).as_deref(), Ok(expected));
            assert_eq!(pattern(expected).as_deref(), Ok(expected), "stays what it is");
        }
    }

    #[test]
    fn what_is_no_path() {
        let long = format!("/{}", "x".repeat(PATH_BYTES_MAX));
        let check = |path: &str, code| assert_eq!(pattern(path).unwrap_err().code, code, "{path:?}");
        for path in [
            "", "orders", "//", "/orders/", "/a//b", "/a b", "/a/../b", "/.", "/{}", "/:", "/{id", "/id}",
            "/{*rest}", "/{1}", "/x{id}", "/{a}/{a}", "/{a}/:a", "/%61dmin", "/ü", "/a?b", "/a#b", "/a\n",
            &long,
        ] {
            check(path, ErrorCode::Validation);
        }
        for path in ["/admin", "/admin/{id}", "/me", "/data/orders", "/api/socket/x", "/docs", "/socket.io/"]
        {
            let code = if path.ends_with('/') { ErrorCode::Validation } else { ErrorCode::DuplicateResource };
            check(path, code);
        }
    }

    #[test]
    fn shapes() {
        assert_eq!(shape("/a/{id}"), shape("/a/{name}"));
        assert_ne!(shape("/a/{id}"), shape("/a/b"));
        assert_ne!(shape("/a/{id}"), shape("/a/{id}/b"));
    }
}
