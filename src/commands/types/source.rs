//! Where definitions come from: the database, or a running server's admin API.

use std::time::Duration;

use anyhow::{Context, bail};
use gatewright_core::catalog::{Gateway, Route};
use gatewright_core::store::list::{LIMIT_MAX, ListQuery};
use serde_json::{Value as Json, json};

use super::document::{Defined, DefinedGateway};
use crate::boot::App;
use crate::cli::DatabaseArgs;

/// How long a server may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// What the database has.
pub async fn of_database(database: DatabaseArgs) -> anyhow::Result<Defined> {
    let app = App::existing(database.sources()).await?;
    let mut defined = Defined::default();
    for page in 1.. {
        let found = app.catalog.list::<Gateway>(&query(page)).await?.rows;
        for gateway in &found {
            let mut events = Vec::new();
            for page in 1.. {
                let found = app.catalog.list_events(gateway.id, &query(page)).await?.rows;
                events.extend(found.iter().map(|event| json!(event)));
                if is_last(found.len()) {
                    break;
                }
            }
            defined.gateways.push(DefinedGateway { gateway: json!(gateway), events });
        }
        if is_last(found.len()) {
            break;
        }
    }
    for page in 1.. {
        let found = app.catalog.list::<Route>(&query(page)).await?.rows;
        defined.routes.extend(found.iter().map(|route| json!(route)));
        if is_last(found.len()) {
            break;
        }
    }
    for page in 1.. {
        let found = app.catalog.data()?.list_tables(&query(page)).await?.rows;
        defined.tables.extend(found.iter().map(
            |table| json!({ "name": table.name, "description": table.description, "columns": table.columns }),
        ));
        if is_last(found.len()) {
            break;
        }
    }
    Ok(defined)
}

fn query(page: u64) -> ListQuery {
    ListQuery { limit: Some(LIMIT_MAX), page: Some(page), ..ListQuery::default() }
}

fn is_last(count: usize) -> bool {
    (count as u64) < LIMIT_MAX
}

/// What a server says with an admin's token.
pub fn of_server(url: &str, token: Option<&str>) -> anyhow::Result<Defined> {
    let Some(token) = token else {
        bail!(
            "--url needs --token, the token of an admin; on the server, `gatewright token --user EMAIL` prints one"
        );
    };
    let server = Server { url: url.trim_end_matches('/'), token };
    let mut defined =
        Defined { tables: server.list("tables")?, routes: server.list("routes")?, ..Defined::default() };
    for gateway in server.list("gateways")? {
        let id = gateway["id"].as_str().context("a gateway has no id; is this a Gatewright server?")?;
        let events = server.list(&format!("gateways/{id}/events"))?;
        defined.gateways.push(DefinedGateway { gateway, events });
    }
    Ok(defined)
}

struct Server<'a> {
    url: &'a str,
    token: &'a str,
}

impl Server<'_> {
    /// All pages of a list of the admin API.
    fn list(&self, what: &str) -> anyhow::Result<Vec<Json>> {
        let mut all = Vec::new();
        for page in 1.. {
            let rows = self.page(&format!("{}/admin/{what}?limit={LIMIT_MAX}&page={page}", self.url))?;
            let is_last = is_last(rows.len());
            all.extend(rows);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    fn page(&self, url: &str) -> anyhow::Result<Vec<Json>> {
        let settings = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let agent = ureq::Agent::new_with_config(settings);
        let call = agent.get(url).header("authorization", format!("Bearer {}", self.token)).call();
        let mut answer = call.with_context(|| format!("{} does not answer", self.url))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
        let body: Json = serde_json::from_str(&text).unwrap_or_default();
        match (status, body["data"].as_array()) {
            (200, Some(rows)) => Ok(rows.clone()),
            (401 | 403, _) => {
                bail!("{} refuses the token; it has to be one of an admin, and lasts 15 minutes", self.url)
            }
            _ => bail!("{url} answers {status}; is this a Gatewright server?"),
        }
    }
}
