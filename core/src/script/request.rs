//! The HTTP request that a script answers, and the parts of the answer that it sets beside its
//! result: `@PARAMS`, `@QUERY`, `@REQ`, `@STATUS` and `@HEADER`.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult};
use serde_json::{Map, Value as Json, json};

use super::memory::uncounted;
use super::origin::Origin;
use super::outside::from_outside;
use super::run::{self, Run, with_run};
use super::strings;
use crate::error::ErrorCode;

/// What no script sees of a request.
pub const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "x-app-token"];
/// Headers that belong to the connection or the encoding of the body, not to the script.
const REFUSED_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The header that an answer may have more than once.
const SET_COOKIE: &str = "set-cookie";
/// Headers that one script sets at most, and their bytes.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// A request as a script sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    /// Upper case.
    pub method: String,
    /// As the client sent it, without the query.
    pub path: String,
    /// The client's address.
    pub ip: String,
    /// `@PARAMS`: decoded.
    pub params: Map<String, Json>,
    /// `@QUERY`: decoded; of a name that comes more than once, the last.
    pub query: Map<String, Json>,
    headers: Map<String, Json>,
    /// `@APP`.
    app: Option<Json>,
}

/// What a script set of its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// 200 to 599; none: it did not say.
    pub status: Option<u16>,
    /// Names in lower case; checked to be names and values of HTTP.
    pub headers: Vec<(String, String)>,
}

impl HttpRequest {
    /// A request without headers.
    pub fn new(
        method: String,
        path: String,
        ip: String,
        params: Map<String, Json>,
        query: Map<String, Json>,
    ) -> Self {
        Self { method, path, ip, params, query, headers: Map::new(), app: None }
    }

    /// The request with these headers: in lower case, and without those that hold secrets.
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (String, Json)>) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        self.headers = headers.filter(|(name, _)| !SECRET_HEADERS.contains(&name.as_str())).collect();
        self
    }

    /// The request of a program, by its app key as scripts see it: `{id, name, scopes}`.
    pub fn with_app(self, app: Option<Json>) -> Self {
        Self { app, ..self }
    }

    /// The app key of the program that sent it, as scripts see it.
    pub(crate) fn app(&self) -> Option<&Json> {
        self.app.as_ref()
    }

    /// It as an admin sees it.
    pub(crate) fn shown(&self) -> Json {
        let Self { method, path, params, query, headers, .. } = self;
        json!({ "method": method, "path": path, "params": params, "query": query, "headers": headers })
    }

    /// What it holds in memory, about.
    pub fn bytes(&self) -> usize {
        let of_map = |map: &Map<String, Json>| {
            map.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum::<usize>()
        };
        self.path.len() + of_map(&self.params) + of_map(&self.query) + of_map(&self.headers)
    }
}

type Outcome<T = Dynamic> = Result<T, Box<EvalAltResult>>;

/// `@PARAMS`; empty where no request triggered the run.
pub(super) fn params() -> Outcome {
    of_request(|request| rhai::serde::to_dynamic(&request.params))
}

/// `@QUERY`; empty where no request triggered the run.
pub(super) fn query() -> Outcome {
    of_request(|request| rhai::serde::to_dynamic(&request.query))
}

/// `@REQ`; empty where no request triggered the run.
pub(super) fn req() -> Outcome {
    of_request(|request| {
        rhai::serde::to_dynamic(json!({
            "ip": request.ip,
            "headers": request.headers,
            "method": request.method,
            "path": request.path,
        }))
    })
}

/// `@APP`; `()` where no app key was shown.
pub(super) fn app() -> Outcome {
    with_run(app_of).map_or(Ok(Dynamic::UNIT), |app| rhai::serde::to_dynamic(app).map(from_outside))
}

/// The app key that was shown by what triggered a run; a hook has none.
pub(super) fn app_of(run: &mut Run) -> Option<Json> {
    if run.hook_depth > 0 {
        return None;
    }
    match &run.origin {
        Origin::Route(request) => request.app.clone(),
        Origin::Job { job, .. } => job.app.clone(),
        origin => origin.socket().and_then(|socket| socket.app()),
    }
}

fn of_request(value: impl FnOnce(&HttpRequest) -> Outcome) -> Outcome {
    let request = with_run(|run| request_of(run).cloned());
    request.map_or_else(|| Ok(rhai::Map::new().into()), |request| value(&request).map(from_outside))
}

/// `@STATUS(code)`.
pub(super) fn set_status(status: &Dynamic) -> Outcome<()> {
    answering("@STATUS")?;
    let code = status.as_int().ok().and_then(|code| u16::try_from(code).ok());
    let Some(code) = code.filter(|code| (200..=599).contains(code)) else {
        let given = strings::printed(status);
        return Err(format!("@STATUS takes a number from 200 to 599, not {given}").into());
    };
    with_run(|run| run.response.status = Some(code));
    Ok(())
}

/// `@HEADER(name, value)`: replaces what was set under that name, but adds a `set-cookie`.
pub(super) fn set_header(name: &Dynamic, value: &Dynamic) -> Outcome<()> {
    answering("@HEADER")?;
    let (name, value) = (header_name(name)?, header_value(value)?);
    let fits = with_run(|run| {
        // The answer outlives the run: it is a copy that is not counted.
        uncounted(|| {
            let headers = &mut run.response.headers;
            if name != SET_COOKIE {
                headers.retain(|(known, _)| *known != name);
            }
            headers.push((name.clone(), value.clone()));
            let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            headers.len() <= HEADERS_MAX && bytes <= HEADER_BYTES_MAX
        })
    });
    if fits {
        return Ok(());
    }
    Err(run::terminate(ErrorCode::ScriptOutputLimit, "The script sets more headers than it may"))
}

/// The name of a header that a script may set.
fn header_name(name: &Dynamic) -> Outcome<String> {
    // The characters of a token, RFC 9110 section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = strings::printed(name).to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is no name of a header").into());
    }
    if REFUSED_HEADERS.contains(&name.as_str()) {
        return Err(format!("the server itself sets the header {name}").into());
    }
    Ok(name)
}

/// The value of a header: what HTTP takes without doubt.
fn header_value(value: &Dynamic) -> Outcome<String> {
    let text = if let Ok(text) = value.as_immutable_string_ref() {
        text.to_string()
    } else if value.is_int() || value.is_float() || value.is_bool() || value.is_char() {
        strings::printed(value)
    } else {
        return Err(format!("a header's value is text, not {}", value.type_name()).into());
    };
    if text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Ok(text);
    }
    Err("a header's value takes ASCII characters without line breaks; encode others".into())
}

fn answering(name: &str) -> Outcome<()> {
    if with_run(|run| request_of(run).is_some()) {
        return Ok(());
    }
    Err(format!("{name} sets the answer of a request: it does not exist outside of HTTP scripts").into())
}

/// The request that a run answers; a hook answers none.
fn request_of(run: &Run) -> Option<&Arc<HttpRequest>> {
    run.origin.request().filter(|_| run.hook_depth == 0)
}
