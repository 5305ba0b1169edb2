//! The admin API of the server under test.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::target::{ADMIN_EMAIL, ADMIN_PASSWORD};

/// Calls of the admin API.
pub struct Admin {
    address: SocketAddr,
    /// Of the first admin.
    pub token: String,
    /// When it was had.
    pub since: Instant,
}

impl Admin {
    /// Signs the first admin in.
    pub async fn sign_in(address: SocketAddr) -> Result<Self> {
        let body = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
        let mut admin = Self { address, token: String::new(), since: Instant::now() };
        let answer = admin.call("POST", "/auth/login", body).await?;
        admin.token = answer["accessToken"].as_str().context("no access token")?.to_owned();
        Ok(admin)
    }

    /// A call that must succeed; its answer.
    pub async fn call(&self, method: &str, path: &str, body: Json) -> Result<Json> {
        let text = self.succeed(method, path, &body).await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// What a path answers, which must be a success.
    pub async fn get(&self, path: &str) -> Result<String> {
        self.succeed("GET", path, &Json::Null).await
    }

    async fn succeed(&self, method: &str, path: &str, body: &Json) -> Result<String> {
        let (status, text) = request(self.address, method, path, &self.token, body).await?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {text}");
        Ok(text)
    }

    /// What a path answers.
    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(request(self.address, "GET", path, &self.token, &Json::Null).await?.1)
    }
}

/// One request on a connection of its own; the status and the body.
async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &Json,
) -> Result<(u16, String)> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization =
        if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: {address}\r\n{authorization}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all((head + &body).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}
