//! The `leaderboard`: scores of the pack engagefabric on a board of many players, over HTTP as a game's server sends
//! them. Some are the best of all, so that the top moves; a socket watches it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::admin::Admin;
use crate::client::{Client, Endpoint};
use crate::compare::CompareArgs;
use crate::events;
use crate::measure::{self, Phase};
use crate::packet::Packet;
use crate::target::{Server, Target};

/// Where the pack is mounted.
const MOUNT: &str = "/engage";
/// Scores that players have before, and most of those that come.
const SCORES: u64 = 1_000_000;

#[derive(clap::Args, Clone)]
pub struct LeaderboardArgs {
    /// Players on the leaderboard
    #[arg(long, default_value_t = 100_000, value_parser = crate::at_least_one)]
    pub players: usize,
    /// Connections of the game's server, each with one request under way
    #[arg(long, default_value_t = 16, value_parser = crate::at_least_one)]
    pub connections: usize,
    /// Of so many scores one is the best of all
    #[arg(long, default_value_t = 20, value_parser = crate::at_least_one)]
    pub best_every: usize,
}

/// Measures and prints what came of it.
///
/// # Errors
/// When a score is refused.
pub async fn run(args: &LeaderboardArgs, compare: &CompareArgs) -> Result<()> {
    let server = Target::Gatewright.start(&compare.start).await?;
    let admin = Admin::sign_in(server.endpoint.address).await?;
    admin.call("POST", "/admin/packs", json!({ "name": "engagefabric", "mount": MOUNT })).await?;
    let key = admin.call("POST", "/admin/app-keys", json!({ "name": "game", "scopes": ["routes"] })).await?;
    let key: Arc<str> = key["key"].as_str().context("an app key without a key")?.into();
    fill(&server, args.players).await?;
    let (phase, updates, next) =
        (Arc::new(Phase::new()), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(1)));
    let watcher = tokio::spawn(watch(server.endpoint.clone(), admin.token, phase.clone(), updates.clone()));
    let mut games = JoinSet::new();
    for _ in 0..args.connections {
        let game = Game::connect(server.endpoint.address, key.clone()).await?;
        games.spawn(game.play(args.clone(), phase.clone(), next.clone()));
    }
    let cost = measure::run(&compare.phases, server.pid, &phase, &mut games).await?;
    let mut latencies = measure::latencies()?;
    let summed = async {
        while let Some(of_game) = games.join_next().await {
            latencies.add(of_game??)?;
        }
        anyhow::Ok(())
    };
    timeout(server.endpoint.patience, summed).await.unwrap_or_else(|_| events::unfinished())?;
    watcher.abort();
    let scores = latencies.len();
    println!(
        "{} players, {} connections, one score of {} the best of all\n\n\
         | scores/s | CPU µs/score | p50 ms | p99 ms | leaderboard_updated/s |\n| ---: | ---: | ---: | ---: | ---: |\n\
         | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} |",
        args.players,
        args.connections,
        args.best_every,
        cost.per_second(scores),
        measure::micros_each(cost.server_cpu, scores),
        measure::millis_at(&latencies, 50.0),
        measure::millis_at(&latencies, 99.0),
        cost.per_second(updates.load(Ordering::Relaxed)),
    );
    server.stop().await
}

/// The board as it is after a while: every player has a score.
async fn fill(server: &Server, players: usize) -> Result<()> {
    let database = crate::backlog::open(server).await?;
    let sql = match database.get_database_backend() {
        DbBackend::Sqlite => format!(
            "INSERT INTO score (id, \"leaderboardId\", \"playerId\", \"playerName\", score, \"createdAt\", \"updatedAt\") \
             WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT {players}) \
             SELECT printf('00000000-0000-7000-8000-%012x', n), 'board', 'p' || n, 'Player ' || n, abs(random()) % {SCORES}, \
             '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z' FROM numbers; ANALYZE"
        ),
        _ => format!(
            "INSERT INTO score (id, \"leaderboardId\", \"playerId\", \"playerName\", score, \"createdAt\", \"updatedAt\") \
             SELECT gen_random_uuid(), 'board', 'p' || n, 'Player ' || n, floor(random() * {SCORES}), now(), now() \
             FROM generate_series(0, {} - 1) AS n; ANALYZE score",
            players
        ),
    };
    database.execute_unprepared(&sql).await.context("cannot fill the leaderboard")?;
    Ok(database.close().await?)
}

/// Counts what a socket hears of the top while it is measured.
async fn watch(endpoint: Endpoint, token: String, phase: Arc<Phase>, updates: Arc<AtomicU64>) -> Result<()> {
    let endpoint = Endpoint { namespace: MOUNT.into(), token: Some(token), ..endpoint };
    let mut client = Client::connect(&endpoint, 0).await?;
    let subscribe = json!(["subscribe", { "channel": "leaderboard", "leaderboardId": "board" }]).to_string();
    client.call(MOUNT, subscribe.as_bytes()).await?;
    loop {
        client.flush().await?;
        client.fill().await?;
        client.drain(|packet, _| {
            if matches!(packet, Packet::Event(event) if event.starts_with(b"[\"leaderboard_updated\""))
                && phase.is_measured()
            {
                updates.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })?;
    }
}

/// One connection of the game's server.
struct Game {
    stream: TcpStream,
    address: SocketAddr,
    key: Arc<str>,
    inbox: Vec<u8>,
}

impl Game {
    async fn connect(address: SocketAddr, key: Arc<str>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, key, inbox: Vec::new() })
    }

    /// Submits one score after the other until the phase is over; how long each took that was measured.
    async fn play(
        mut self,
        args: LeaderboardArgs,
        phase: Arc<Phase>,
        next: Arc<AtomicU64>,
    ) -> Result<Histogram<u64>> {
        let mut latencies = measure::latencies()?;
        while !phase.is_over() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let is_best = number.is_multiple_of(args.best_every as u64);
            // Players and scores in an order of no order, the same in each run.
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
            let score = if is_best { SCORES + number } else { mixed % (SCORES - SCORES / 1000) };
            self.submit(mixed % args.players as u64, score, &phase, &mut latencies).await?;
        }
        Ok(latencies)
    }

    async fn submit(
        &mut self,
        player: u64,
        score: u64,
        phase: &Phase,
        latencies: &mut Histogram<u64>,
    ) -> Result<()> {
        let body = json!({ "playerId": format!("p{player}"), "type": "score_submitted", "leaderboardId": "board", "score": score });
        let body = body.to_string();
        let request = format!(
            "POST {MOUNT}/v1/events HTTP/1.1\r\nhost: {}\r\nx-app-token: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        let begin = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await?;
        if phase.is_measured() {
            measure::record(latencies, begin.elapsed());
        }
        Ok(())
    }

    /// Reads an answer to its end.
    async fn answer(&mut self) -> Result<()> {
        self.inbox.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.inbox).await? > 0, "the server closed the connection");
            let Some(end) = memchr::memmem::find(&self.inbox, b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.inbox[..end])?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.context("an answer without its length")?.trim().parse()?;
            if self.inbox.len() >= end + 4 + length {
                let text = String::from_utf8_lossy(&self.inbox);
                ensure!(head.starts_with("http/1.1 200"), "a score was refused: {text}");
                return Ok(());
            }
        }
    }
}
