//! The `soak`: gateways are made, used by a socket and deleted again, one after the other, while the
//! events of another gateway run. What is gone must not stay in memory, nor in the metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::admin::{Admin, request};
use crate::client::{Client, Endpoint, connect_many};
use crate::events::{self, Socket, TEXT_BYTES};
use crate::measure::Phase;
use crate::proc;
use crate::target::{Server, StartArgs, Target};

/// More memory at the end than after the first tenth, at most.
const GROWTH_MAX: f64 = 1.2;
/// How often memory is looked at, and how many looks make one figure.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOKS: usize = 10;
/// A token lives for a quarter of an hour.
const SIGN_IN_EVERY: Duration = Duration::from_secs(300);

#[derive(clap::Args, Clone)]
pub struct SoakArgs {
    /// Seconds of it all
    #[arg(long = "for", value_name = "SECONDS", default_value = "120", value_parser = crate::seconds)]
    pub duration: Duration,
    /// Sockets whose events run meanwhile
    #[arg(long, default_value_t = 16, value_parser = crate::at_least_one)]
    pub sockets: usize,
    /// Milliseconds of rest between the events of a socket
    #[arg(long, default_value_t = 5)]
    pub pause_ms: u64,
}

/// Runs the soak and prints what came of it.
///
/// # Errors
/// When the server has grown past [`GROWTH_MAX`], or still counts what is gone.
pub async fn run(args: &SoakArgs, start: &StartArgs) -> Result<()> {
    proc::allow_open_files(args.sockets)?;
    let server = Target::Gatewright.start(start).await?;
    let phase = Arc::new(Phase::new());
    let mut load = load(args, &server, &phase).await?;
    let begun = Instant::now();
    let churn = async {
        let mut gateways = 0_u64;
        let mut admin = Admin::sign_in(server.endpoint.address).await?;
        while begun.elapsed() < args.duration {
            if admin.since.elapsed() > SIGN_IN_EVERY {
                admin = Admin::sign_in(server.endpoint.address).await?;
            }
            one_gateway(&admin, &server.endpoint, gateways).await?;
            gateways += 1;
        }
        anyhow::Ok(gateways)
    };
    let looks = async {
        sleep(args.duration / 10).await;
        let early_kib = resident_kib(&server).await?;
        sleep((args.duration * 9 / 10).saturating_sub(2 * LOOK_EVERY * LOOKS as u32)).await;
        anyhow::Ok((early_kib, resident_kib(&server).await?))
    };
    let (gateways, (early_kib, late_kib)) = tokio::try_join!(churn, looks)?;
    phase.stop();
    let mut events = 0;
    while let Some(latencies) = load.join_next().await {
        events += latencies??;
    }
    let stale = stale_series(server.endpoint.address).await?;
    server.stop().await?;
    let growth = late_kib / early_kib;
    println!(
        "soak of {:?}: {gateways} gateways came and went, {events} events ran beside them\n\n\
         | after a tenth | at the end | growth | series of what is gone |\n| ---: | ---: | ---: | ---: |\n\
         | {:.1} MiB | {:.1} MiB | {growth:.2} | {stale} |",
        args.duration,
        early_kib / 1024.0,
        late_kib / 1024.0
    );
    ensure!(growth <= GROWTH_MAX, "memory grew by more than {GROWTH_MAX}");
    ensure!(stale == 0, "the metrics count {stale} series of gateways that are gone");
    Ok(())
}

/// Sockets that send events until the phase is over; each tells how many.
async fn load(args: &SoakArgs, server: &Server, phase: &Arc<Phase>) -> Result<JoinSet<Result<u64>>> {
    let message = events::message(TEXT_BYTES);
    let pause = Duration::from_millis(args.pause_ms);
    phase.measure();
    let mut load = JoinSet::new();
    for (index, client) in connect_many(&server.endpoint, args.sockets).await?.into_iter().enumerate() {
        let socket = Socket::new(client, &server.endpoint.namespace, &message, index).pause(pause);
        let phase = phase.clone();
        load.spawn(async move { Ok(socket.drive(phase).await?.len()) });
    }
    Ok(load)
}

/// A gateway of its own name from its making to its end, with one socket and one event.
async fn one_gateway(admin: &Admin, endpoint: &Endpoint, number: u64) -> Result<()> {
    let path = format!("/soak-{number}");
    let made = admin.call("POST", "/admin/gateways", json!({ "path": path, "requireAuth": false })).await?;
    let id = made["id"].as_str().context("a gateway without an id")?;
    let event = json!({ "eventName": "e", "sourceCode": "@SOCKET.join(`room ${@BODY}`); return @BODY;" });
    admin.call("POST", &format!("/admin/gateways/{id}/events"), event).await?;
    let endpoint = Endpoint { namespace: path.as_str().into(), ..endpoint.clone() };
    let mut client = Client::connect(&endpoint, 0).await?;
    client.call(&path, format!("[\"e\",{number}]").as_bytes()).await?;
    drop(client);
    admin.call("DELETE", &format!("/admin/gateways/{id}"), Json::Null).await?;
    Ok(())
}

/// Resident memory, as the mean of a few looks.
async fn resident_kib(server: &Server) -> Result<f64> {
    let mut sum = 0;
    for _ in 0..LOOKS {
        sleep(LOOK_EVERY).await;
        sum += proc::resident_kib(server.pid)?;
    }
    Ok(sum as f64 / LOOKS as f64)
}

/// Series of gateways that are gone, once the server has had another change to follow.
async fn stale_series(address: SocketAddr) -> Result<usize> {
    let admin = Admin::sign_in(address).await?;
    admin.call("POST", "/admin/gateways", json!({ "path": "/kept" })).await?;
    let metrics = request(address, "GET", "/metrics", &admin.token, &Json::Null).await?;
    Ok(metrics.1.lines().filter(|line| line.contains("\"/soak-")).count())
}
