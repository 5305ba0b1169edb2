//! The `backlog`: how fast jobs are taken up that wait in the database, when few wait and when very many do.

use anyhow::{Context, Result, ensure};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tokio::time::{Duration, Instant, sleep};

use crate::target::{Server, StartArgs, Target};

/// Keys that the jobs are divided over: so many run at once.
const KEYS: usize = 512;
/// How often it is counted what has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(clap::Args, Clone)]
pub struct BacklogArgs {
    /// How many jobs wait, each time on a server of its own, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000", value_parser = crate::at_least_one)]
    pub jobs: Vec<usize>,
    /// Jobs whose end is waited for, the same for each
    #[arg(long, default_value_t = 9000, value_parser = crate::at_least_one)]
    pub first: usize,
    /// How often each is measured
    #[arg(long, default_value_t = 3, value_parser = crate::at_least_one)]
    pub turns: usize,
}

/// Measures and prints the rates.
///
/// # Errors
/// When the jobs do not end in time.
pub async fn run(args: &BacklogArgs, start: &StartArgs) -> Result<()> {
    println!("Jobs a second of the first {}, medians of {}\n", args.first, args.turns);
    println!("| jobs that wait | jobs/s |\n| ---: | ---: |");
    let mut rates = vec![Vec::new(); args.jobs.len()];
    for turn in 0..args.turns {
        for (jobs, rates) in args.jobs.iter().zip(&mut rates) {
            ensure!(*jobs >= args.first, "--first is more than {jobs}");
            let rate = run_once(*jobs, args.first, start).await?;
            eprintln!("{} of {}: {jobs} jobs: {rate:.0}/s", turn + 1, args.turns);
            rates.push(rate);
        }
    }
    for (jobs, mut rates) in args.jobs.iter().zip(rates) {
        rates.sort_by(f64::total_cmp);
        println!("| {jobs} | {:.0} |", rates[rates.len() / 2]);
    }
    Ok(())
}

async fn run_once(jobs: usize, first: usize, start: &StartArgs) -> Result<f64> {
    let server = Target::Gatewright.start(start).await?;
    let database = open(&server).await?;
    database.execute_unprepared(&insert(database.get_database_backend(), jobs)).await?;
    let (begin, deadline) = (Instant::now(), Instant::now() + server.endpoint.patience);
    let rate = loop {
        let ended = ended(&database).await?;
        if ended >= first {
            break ended as f64 / begin.elapsed().as_secs_f64();
        }
        ensure!(Instant::now() < deadline, "only {ended} jobs of {first} have ended in time");
        sleep(LOOK_EVERY).await;
    };
    database.close().await?;
    server.stop().await?;
    Ok(rate)
}

/// The server's database, beside it.
pub async fn open(server: &Server) -> Result<DatabaseConnection> {
    let url = match server.database_url() {
        Some(url) => url,
        None => format!("sqlite://{}", server.database().display()),
    };
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.context("cannot open the server's database")
}

/// The statement that makes jobs of an event that writes nothing.
fn insert(backend: DbBackend, jobs: usize) -> String {
    let (id, numbers) = match backend {
        DbBackend::Sqlite => (
            "printf('%032x', n)",
            format!(
                "(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {jobs}) \
                 SELECT n FROM numbers)"
            ),
        ),
        _ => ("lpad(to_hex(n), 32, '0')", format!("(SELECT generate_series(1, {jobs}) AS n)")),
    };
    format!(
        "INSERT INTO gw_job (id, shard, job_key, gateway, event, caller, payload, accepted_at, attempt, lost) \
         SELECT {id}, n % 64, 'backlog ' || (n % {KEYS}), '/durable', 'keep', '{{}}', '[\"keep\",{{\"text\":\"x\"}}]', \
         1, 0, 0 FROM {numbers} AS v"
    )
}

async fn ended(database: &DatabaseConnection) -> Result<usize> {
    let sql = "SELECT COUNT(*) FROM gw_job_done";
    let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), sql)).await?;
    let count: i64 = row.context("a count is a row")?.try_get_by_index(0)?;
    Ok(usize::try_from(count)?)
}
